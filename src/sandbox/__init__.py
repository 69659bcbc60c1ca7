"""Starting, limiting and confining the processes that read files from outside."""
