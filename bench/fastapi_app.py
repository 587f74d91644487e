"""A FastAPI application as people write them: one JSON route with a path, a query and a response model."""

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    """The response of the route."""

    id: int
    name: str
    price: float
    tags: list[str]


app = FastAPI()


@app.get("/items/{item_id}")
async def read_item(item_id: int, currency: str = "EUR") -> Item:
    """One item, made up from its number."""
    return Item(id=item_id, name=f"Item {item_id}", price=9.5, tags=["small", currency])
