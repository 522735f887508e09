"""The prices of the wholesaler."""

from httpx2 import AsyncClient


class Prices:
    """Asks the wholesaler for prices, over HTTP."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def price(self, isbn: str) -> int:
        """
        Return the price of a book, in pence.

        Raises:
            HTTPError: The wholesaler does not answer, or does not know the book.
        """
        response = await self._client.get(f"/prices/{isbn}")
        response.raise_for_status()
        return int(response.json()["pence"])
