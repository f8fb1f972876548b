"""Between a conversation and the wire: what models and servers write in other ways than OpenAI's API. All of it is
pure, and none of it raises for anything that a model or a server can send."""
