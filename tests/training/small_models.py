"""Recipe sections over models small enough to be made on the spot."""

from training.recipe.sections import ModelSection

LENGTHS = {"query": 8, "document": 16}
TEXTS = [
    "the man said that it was the first time",
    "which of these would you do now",
    "they were all there when he made them into some other like our new man",
    "so many of them can only be about time time time",
]


def section(backbone, **more):
    return ModelSection.model_validate({"backbone": str(backbone), "max_length": LENGTHS, **more})
