"""Files and folders that outlive a kill, a full disk and a second writer: whose they are, how they are written."""
