"""Examines: `hublet doctor`. Each check looks at one thing and says ok, warning or problem; nothing is changed."""
