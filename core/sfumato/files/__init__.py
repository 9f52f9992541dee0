"""Files in and out: pictures, projects, recipes. Everything read is untrusted, every write is atomic."""
