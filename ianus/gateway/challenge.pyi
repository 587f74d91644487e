from ianus.exchange.gateway import Gateway

class ChallengeGateway(Gateway):
    name: str
    def __init__(self, applications: Gateway, *, acme_thumbprint: str) -> None: ...

class ChallengeExchange: ...
