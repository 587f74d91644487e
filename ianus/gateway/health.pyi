from ianus.exchange.gateway import Gateway

class HealthGateway(Gateway):
    name: str
    def __init__(self, applications: Gateway, *, health_path: str) -> None: ...

class HealthExchange: ...
