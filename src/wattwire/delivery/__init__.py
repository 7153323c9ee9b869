"""Takes messages out of the queue, sends them within limits, writes down what became of each."""
