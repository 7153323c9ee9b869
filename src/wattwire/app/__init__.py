"""The only room that knows all the rooms: opens, wires, supervises, closes."""
