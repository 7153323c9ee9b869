"""Takes messages out of the queue, sends them within limits, and writes down what became of each."""
