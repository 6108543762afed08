"""What a released model is asked, and how that differs from what it learned from."""

__all__: list[str] = []
