"""What keeps a deployment healthy: retiring videos, retention, alerts, the weekly summary."""
