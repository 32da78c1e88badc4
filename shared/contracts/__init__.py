"""The shapes that cross a border: requests and answers, bus messages, stored documents, callbacks."""
