class Gateway:
    name: str
