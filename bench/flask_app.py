"""A Flask application as people write them: a text route with a parameter."""

from flask import Flask, request

app = Flask(__name__)


@app.get("/greetings/<name>")
def greet(name: str) -> str:
    """A greeting."""
    return f"{request.args.get('word', 'Hello')}, {name}!"
