stopPolling();
