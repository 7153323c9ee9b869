"""Where sources hand over readings; what returns from here is durable in the log."""
