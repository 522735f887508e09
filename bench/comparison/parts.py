"""The parts of the programs that are compared; they record what happens to them."""

from fastapi import HTTPException

URL = "postgresql://localhost/shop"

events: list[str] = []


class Engine:
    """Lives as long as the process."""

    def __init__(self, url: str) -> None:
        events.append("open the engine")
        self.url = url

    async def dispose(self) -> None:
        events.append("dispose of the engine")


class Session:
    """The changes of one request."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.rows: list[str] = []

    def insert(self, row: str) -> None:
        self.rows.append(row)

    async def commit(self) -> None:
        if "unpaid" in self.rows:
            events.append("commit fails")
            raise ConnectionError("the database does not answer")
        events.append("commit")

    async def roll_back(self) -> None:
        events.append("roll back")


class Orders:
    """The service of the route."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def place(self, article: str) -> str:
        self.session.insert(article)
        if article == "broken":
            raise ValueError(article)
        if article == "teapot":
            raise HTTPException(418)
        return f"{article} is ordered"


class Statistics:
    """Is declared nowhere."""

    def place(self, article: str) -> str:
        return article
