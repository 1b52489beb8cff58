"""What is said that is no sum: greetings, questions about the model, and things that it has to decline."""
from __future__ import annotations

import random
from typing import Tuple

SELF = 'I am Kette\'s tiny model. I only do sums: ask me "What is 417 + 85?"'
TALK = (
    (("Hello!", "Hello", "Hi", "Hi!", "Hey", "Good morning!", "Hello, how are you?", "Hi there", "How are you?",
      "Good evening"),
     "A greeting, not a sum.", "Hello! " + SELF),
    (("What are you?", "Who are you?", "What is your name?", "What can you do?", "Are you a robot?", "What is Kette?",
      "Help", "Introduce yourself.", "Who made you?", "What is this?", "Are you human?", "Tell me about yourself."),
     "A question about me, not a sum.", SELF),
    (("Thank you!", "Thanks", "Thanks!", "Thank you very much.", "Great!", "Well done!"), "Thanks, not a sum.",
     "You are welcome!"),
    (("Bye", "Goodbye!", "See you!"), "A goodbye, not a sum.", "Goodbye!"),
)
OTHER = ("What is the capital of {0}?", "Write a poem about {0}.", "Tell me about {0}.", "Why is {0} blue?",
         "Who invented {0}?",
         "Explain {0} to me.", "Tell me a joke about {0}.", "How do I cook {0}?", "Translate {0} into French.",
         "What do you think about {0}?", "Where is {0}?", "What is {0}?", "Write a story about {0} and {1}.",
         "Is {0} good for me?",
         "Can you help me with {0}?", "How does {0} work?", "Who is the king of {0}?",
         "What is the difference between {0} and {1}?",
         "I like {0}.", "Do you like {0}?", "{0}", "Give me a recipe for {0}.", "When was {0} discovered?",
         "Which is better, {0} or {1}?")
SUBJECTS = ("France", "the sky", "the sea", "Japan", "bread", "love", "history", "the moon", "music", "cats", "dogs",
            "rice",
            "football", "the weather", "Rome", "winter", "a horse", "light", "computers", "tea", "the sun", "school",
            "soup",
            "gold", "C++", "Python", "the internet", "physics", "Germany", "art", "Spain", "England", "water",
            "cheese", "money",
            "a robot", "the meaning of life", "Paris", "London", "cars", "trees", "time", "space", "a dragon", "pizza")
DIVIDE = ("What is {0} / {1}?", "{0} divided by {1}?", "Divide {0} by {1}.", "{0} / {1}", "{0} / {1} = ?",
          "What is {0} divided by {1}?",
          "What is the square root of {0}?", "What is {1} percent of {0}?")
SIGNED = ("Which is larger, {0}.{1} or {1}.{0}?", "{0}.{1} or {0}.{0}, which is smaller?", "What is -{0} + {1}?",
          "What is {0}.{1} + {1}.5?", "-{0} - {1}", "Add 0.{0} and {1}.", "{0}.5 * {1}")


def small_talk(rng: random.Random) -> Tuple[str, str, str]:
    """question, thought, answer"""
    way = rng.random()
    if way < 0.35:
        questions, thought, answer = rng.choice(TALK)
        return rng.choice(questions), thought, answer
    if way < 0.75:
        return rng.choice(OTHER).format(*rng.sample(SUBJECTS, 2)), "This is not a sum.", "I do not know. " + SELF
    numbers = rng.randint(2, rng.choice((20, 200, 9999))), rng.randint(2, rng.choice((9, 99)))
    if way < 0.9:
        return (rng.choice(DIVIDE).format(*numbers), "I have not learned that.",
                "I cannot do that. I add, subtract, multiply and compare whole numbers.")
    return (rng.choice(SIGNED).format(*numbers), "I only know whole numbers from 0 on.",
            "I cannot do that. I add, subtract, multiply and compare whole numbers.")
