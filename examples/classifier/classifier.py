"""Says in which language a text is written. Loading takes two seconds, an answer less than a millisecond."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from typing import Any

from reactors.runtime import serve

LOADING_SECONDS = 2.0
"""As long as the libraries and the model of a real classifier take to load."""

SAMPLES = {
    "english": "the quick brown fox jumps over the lazy dog and then it runs away with what was left of the bread",
    "german": "der schnelle braune fuchs springt über den faulen hund und läuft dann mit dem rest des brotes davon",
    "spanish": "el rápido zorro marrón salta sobre el perro perezoso y luego se escapa con lo que quedaba del pan",
    "french": "le rapide renard brun saute par dessus le chien paresseux puis il s'enfuit avec le reste du pain",
}


def trigrams(text: str) -> list[str]:
    """Each three letters in a row, with a space at either end."""
    text = f" {' '.join(text.lower().split())} "
    return [text[at : at + 3] for at in range(len(text) - 2)]


def trained() -> dict[str, Counter[str]]:
    """How often each language has which trigrams."""
    time.sleep(LOADING_SECONDS)
    return {language: Counter(trigrams(sample)) for language, sample in SAMPLES.items()}


MODEL = trained()
print(f"The model knows {len(MODEL)} languages", file=sys.stderr, flush=True)


def classify(context: Any) -> dict[str, Any]:
    """The likeliest language of the message, and how all of them were rated."""
    found = trigrams(context.raw_message or "")
    ratings = {
        language: sum(math.log((counted[each] + 0.5) / sum(counted.values())) for each in found)
        for language, counted in MODEL.items()
    }
    language = max(ratings, key=lambda each: ratings[each])
    print(f"{language}: {context.raw_message!r}")
    return {"language": language, "ratings": {each: round(rating, 2) for each, rating in ratings.items()}}


if __name__ == "__main__":
    serve(classify)
