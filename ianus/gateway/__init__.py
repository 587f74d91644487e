"""The application's side: finding it, starting it, calling it."""
