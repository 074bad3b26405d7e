"""From recorded runs to tables and figures."""
