"""The last weights instead of their moving average."""

ema_decay = 0.0
