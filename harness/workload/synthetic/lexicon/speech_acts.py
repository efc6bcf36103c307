"""The words of CB: clauses, and ways in which a speaker asserts, denies or leaves open a clause."""
# ruff: noqa: E501 -- one template or list a line

PEOPLE = (
    "Alice", "Arthur", "Clara", "David", "Edith", "Emma", "Felix", "Frank", "Grace", "Hannah", "Harold", "Helen", "Henry",
    "Hugo", "Irene", "Jacob", "James", "Jane", "Julia", "Karl", "Laura", "Leo", "Lucy", "Martin", "Mary", "Nora", "Oscar",
    "Paul", "Peter", "Rosa", "Ruth", "Simon", "Thomas", "Victor", "Walter",
    "the baker", "the barber", "the coach", "the cook", "the doctor", "the driver", "the farmer", "the gardener",
    "the judge", "the landlord", "the mayor", "the nurse", "the painter", "the plumber", "the postman", "the teacher",
    "the vicar", "the waiter", "my aunt", "my brother", "my cousin", "my neighbour", "my sister", "my uncle",
)  # fmt: skip
_THINGS = (
    "the boat", "the piano", "the bicycle", "the lamp", "the ladder", "the tent", "the carpet", "the mirror", "the clock",
    "the violin", "the oven", "the cupboard", "the camera", "the wheelbarrow", "the radio", "the fence", "the sofa",
    "the kettle", "the lawn mower", "the caravan",
)  # fmt: skip
_FOOD = (
    "the soup", "the cake", "the beans", "the fish", "the plums", "the pudding", "the pie", "the rice", "the cheese",
    "the bread", "the salad", "the jam",
)  # fmt: skip
_PLACES = (
    "the coast", "the city", "the farm", "the island", "the village", "the capital", "the mountains", "the suburbs",
    "the desert", "the north", "the harbour", "the valley",
)  # fmt: skip
_PAST = (
    "the accident", "the exam", "the robbery", "the wedding", "the meeting", "the fire", "the quarrel", "the strike",
    "the election", "the bill", "the letter", "the storm",
)  # fmt: skip
# What somebody did, and to what: a verb in its base form and in the past goes with a list of objects.
ACTIONS = (
    (("sell", "sold"), _THINGS),
    (("repair", "repaired"), _THINGS),
    (("buy", "bought"), _THINGS),
    (("lose", "lost"), _THINGS),
    (("paint", "painted"), _THINGS),
    (("borrow", "borrowed"), _THINGS),
    (("steal", "stole"), _THINGS),
    (("break", "broke"), _THINGS),
    (("cook", "cooked"), _FOOD),
    (("eat", "ate"), _FOOD),
    (("burn", "burned"), _FOOD),
    (("order", "ordered"), _FOOD),
    (("pay for", "paid for"), _FOOD),
    (("move to", "moved to"), _PLACES),
    (("leave", "left"), _PLACES),
    (("come back from", "came back from"), _PLACES),
    (("drive to", "drove to"), _PLACES),
    (("write about", "wrote about"), _PLACES),
    (("forget about", "forgot about"), _PAST),
    (("talk about", "talked about"), _PAST),
    (("laugh about", "laughed about"), _PAST),
    (("worry about", "worried about"), _PAST),
)
ASSERTED = (
    "I know that {c}.",
    "It turns out that {c}.",
    "I was glad to hear that {c}.",
    "I am quite sure that {c}.",
    "We all saw that {c}.",
    "I had not noticed at first that {c}.",
    "It surprised me that {c}.",
    "Everybody in the street knows that {c}.",
    "It is a pity that {c}.",
    "I remember that {c}.",
    "I do not doubt that {c}.",
    "Nobody can deny that {c}.",
    "It is no longer a secret that {c}.",
    "I was wrong to doubt that {c}.",
)
DENIED = (
    "I do not believe that {c}.",
    "It is not true that {c}.",
    "I very much doubt that {c}.",
    "It is false that {c}.",
    "I no longer think that {c}.",
    "Nobody believes that {c}.",
    "It was a lie that {c}.",
    "They were wrong to say that {c}.",
    "It never happened that {c}.",
    "It is just a silly rumour that {c}.",
    "I never believed that {c}.",
    "It turns out to be false that {c}.",
    "I was glad to hear it is not true that {c}.",
    "I know it is not so that {c}.",
)
OPEN = (
    "Do you think that {c}?",
    "I wonder whether {c}.",
    "I have no idea whether {c}.",
    "Did you ask whether {c}?",
    "Somebody should find out whether {c}.",
    "I cannot say whether {c}.",
    "Perhaps {c}.",
    "It is possible that {c}.",
    "They are still arguing whether {c}.",
    "Is it really so that {c}?",
    "I do not know whether {c}.",
    "It may be true or false that {c}.",
    "I am not sure that {c}.",
    "Nobody knows whether {c}.",
)
SMALL_TALK = (
    "Well, you know how it is.",
    "Yes, {I see, I understand, that is so}.",
    "{Oh, Well}, that is {good, nice, strange} to hear.",
    "We {talked, laughed} about it over {tea, coffee, supper} {last night, on Sunday, this morning}.",
    "Anyway, it has been a {long, busy, quiet, tiring} {day, week, month}.",
    "Uh, let me think for a {moment, second, minute}.",
    "{People, Neighbours, Friends} say all sorts of things in {winter, summer, a small place}.",
    "That is what I {heard, was told} at the {market, station, office, library}.",
    "I only {came, called} to bring back your {umbrella, book, gloves, keys}.",
    "You can {ask, phone, visit} them {tomorrow, tonight, any time} if you like.",
    "{Right, Sure}, and it was raining {hard, all day, the whole time}.",
)
