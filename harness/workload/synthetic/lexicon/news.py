"""Kinds of institutions for the premises of RTE, and the news about them that decides nothing."""
# ruff: noqa: E501 -- one template or list a line

from harness.workload.synthetic.lexicon.entities import Attribute, Kind, numbers
from harness.workload.synthetic.lexicon.names import ROOTS, person, year

CITIES = ROOTS[::3]


def _has(values: tuple[str, ...], *phrases: str, sentence: str) -> Attribute:
    return Attribute(values, phrases, (sentence,))


_FOUNDED = Attribute(
    year, ("was founded in {v}", "goes back to {v}"), ("the founding of {s} took place in {v}.",)
)
_HEAD = Attribute(
    person, ("is led by {v}", "is headed by {v}"), ("the head of {s} is {v}.", "{v} leads {s}.")
)
_CITY = _has(CITIES, "is based in {v}", "has its main office in {v}", sentence="the home of {s} is {v}.")
_STAFF = _has(
    numbers(200, 4800, 200, "{} people"),
    "employs {v}",
    "has a staff of {v}",
    sentence="{s} gives work to {v}.",
)

COMPANY = Kind(
    "company",
    "{} Group",
    (),
    (
        _FOUNDED,
        _HEAD,
        _CITY,
        _STAFF,
        _has(
            (
                "shoes",
                "tractors",
                "lamps",
                "furniture",
                "tyres",
                "paint",
                "watches",
                "glass",
                "toys",
                "pianos",
            ),
            "makes {v}",
            "is a maker of {v}",
            sentence="the factories of {s} turn out {v}.",
        ),
        _has(
            ("Brazil", "Canada", "Japan", "Norway", "Spain", "Egypt", "India", "Poland", "Chile", "Kenya"),
            "sells most of its goods in {v}",
            "has its best market in {v}",
            sentence="most of the customers of {s} are in {v}.",
        ),
    ),
)
AIRLINE = Kind(
    "airline",
    "{} Air",
    (),
    (
        _FOUNDED,
        _HEAD,
        _CITY,
        _STAFF,
        _has(
            numbers(6, 90, 3, "{} aircraft"),
            "flies {v}",
            "has a fleet of {v}",
            sentence="the fleet of {s} is {v}.",
        ),
        _has(
            ("Brazil", "Canada", "Japan", "Norway", "Spain", "Egypt", "India", "Poland", "Chile", "Kenya"),
            "will begin flights to {v}",
            "plans a new service to {v}",
            sentence="the next route of {s} leads to {v}.",
        ),
    ),
)
CLUB = Kind(
    "club",
    "{} Rovers",
    (),
    (
        _FOUNDED,
        Attribute(person, ("is coached by {v}", "has {v} as its coach"), ("the coach of {s} is {v}.",)),
        Attribute(person, ("is captained by {v}", "has {v} as its captain"), ("the captain of {s} is {v}.",)),
        _has(CITIES, "plays in {v}", "has its ground in {v}", sentence="the home ground of {s} is in {v}."),
        _has(
            ("red", "blue", "green", "yellow", "white", "black", "orange", "purple"),
            "plays in {v} shirts",
            "wears {v}",
            sentence="the shirts of {s} are {v}.",
        ),
        _has(
            numbers(2000, 48000, 2000, "{} seats"),
            "has a stadium with {v}",
            "is building a stand with {v}",
            sentence="the stadium of {s} has {v}.",
        ),
    ),
)
HOSPITAL = Kind(
    "hospital",
    "{} Hospital",
    (),
    (
        _FOUNDED,
        _HEAD,
        _STAFF,
        _has(CITIES, "is near {v}", "stands on the edge of {v}", sentence="the nearest town to {s} is {v}."),
        _has(
            (
                "burns",
                "asthma",
                "diabetes",
                "malaria",
                "migraine",
                "back pain",
                "eye diseases",
                "snake bites",
            ),
            "is known for the treatment of {v}",
            "has a clinic for {v}",
            sentence="patients with {v} are often sent to {s}.",
        ),
        _has(
            numbers(60, 940, 40, "{} beds"), "has {v}", "has room for {v}", sentence="there are {v} in {s}."
        ),
    ),
)
COLLEGE = Kind(
    "college",
    "{} College",
    (),
    (
        _FOUNDED,
        _HEAD,
        _has(CITIES, "is in {v}", "moved to {v}", sentence="the buildings of {s} are in {v}."),
        _has(
            numbers(300, 7800, 300, "{} students"),
            "has {v}",
            "teaches {v}",
            sentence="the number of young people at {s} is given as {v}.",
        ),
        _has(
            ("law", "botany", "music", "nursing", "history", "physics", "farming", "painting", "engineering"),
            "is best known for {v}",
            "offers a new course in {v}",
            sentence="most students of {s} study {v}.",
        ),
        _has(
            ("a bank", "the state", "the city", "a lottery", "the church", "a brewery", "a steel firm"),
            "is paid for by {v}",
            "gets its money from {v}",
            sentence="the main sponsor of {s} is {v}.",
        ),
    ),
)
INSTITUTIONS = (COMPANY, AIRLINE, CLUB, HOSPITAL, COLLEGE)

NEWS = (
    "said on {Monday, Tuesday, Thursday, Friday} that {costs, prices, fees} had {risen, fallen} {sharply, slightly, again}",
    "{refused, declined} on {Monday, Tuesday, Thursday, Friday} to comment on {a report, rumours, an inquiry}",
    "announced {plans for a new building, a change of logo, a review of safety, an open day} {last week, last month}",
    "{welcomed, rejected, criticised} the {decision, proposal, report} of the {government, court, union}",
    "faced {questions, protests, complaints} over {noise, parking, working hours} {last week, this spring}",
    "reached an agreement with the {union, council, government} after {two, three, six} {days, weeks} of talks",
)
CLOSERS = (
    "A spokesman said that {talks, repairs, checks} would {continue, take time, end soon}.",
    "{Neighbours, Union leaders, Local politicians} said they {hoped for, feared, expected} further {changes, news, delays}.",
    "No one was {hurt, blamed, named}, {officials, witnesses, the police} said.",
    "The {ministry, court, council} is {expected, due} to {decide, report, meet} {next week, next month, in the autumn}.",
    "{Analysts, Observers, Reporters} had {not expected, long expected} the {news, move, statement}.",
)
QUOTES = (
    "{s} said that {work, training, planning} would {start, go on, end} {soon, in the spring, next month}.",
    "{s} told {reporters, members, visitors} that the {news, report, decision} was {good, bad, no surprise}.",
    "{s} thanked {friends, neighbours, the staff} for their {help, patience, support}.",
    "There would be no {delays, changes, talks}, {s} said on {Monday, Tuesday, Thursday, Friday}.",
)
