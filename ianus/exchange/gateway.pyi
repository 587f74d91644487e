class Gateway:
    name: str
    opens_tunnels: bool
