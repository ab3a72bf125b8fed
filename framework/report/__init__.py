"""What people read: terminal tables, sweep progress, self-contained HTML reports."""
