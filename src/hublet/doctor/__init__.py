"""The checks of `hublet doctor`. Each looks at one thing and reports ok, a warning or a problem; none changes
anything."""
