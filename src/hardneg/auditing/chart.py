"""The chart."""

def draw(numbers, folder):
    pass
