"""Invented proper names, and values that are drawn rather than listed (people, years, amounts).

The names of the entities are kept apart by split: which split a name belongs to follows from its hash.
"""
# ruff: noqa: E501, SIM905 -- word lists

import hashlib

from harness.workload.synthetic.seeded_choice import Dice

ROOTS = tuple(
    """Abber Alden Amber Arden Ashby Barrow Belford Benwick Birley Bowden Bracken Bramley Brandon Bretton
    Brockham Burley Calder Camber Carlow Carver Casson Caxton Charley Clifton Colby Corley Cotter Cromer
    Dalby Danby Darley Denholm Derwen Dorley Drayton Dunley Eastley Edgar Elder Elford Elmer Embury Farley
    Farrow Felton Fenwick Finley Forley Foxley Gadby Garland Gilby Girton Gorsley Granby Grenley Hadley
    Halden Hamley Harby Harrow Haxby Helder Henley Hexley Holbrook Horley Hurley Ingle Ivery Jarrow Kelby
    Kendal Kerrow Kilby Kinley Kirby Lambley Larkin Laxton Leyburn Lindley Lorton Ludlow Maldon Marley
    Marrick Melby Merrow Milborne Monkton Morley Mulgrave Nadder Nesby Newlyn Norley Oakley Oldham Orby
    Orrin Osmond Otley Padley Pelham Penley Pickering Quorley Radley Raven Redmire Ripley Rockley Romley
    Rowton Rugby Saxby Selby Severn Shelby Sherley Silby Skelton Somer Sorley Stanley Stokes Sutton Swanley
    Tarby Thirsk Thornley Tilby Torrin Tranby Tredley Ulley Varley Veldon Wadley Walden Warley Welby Wexley
    Whitby Wilden Winslow Wyley Yardley Yarrow Zelby""".split()
)
FIRST = tuple(
    """Ada Agnes Alan Alice Amos Anna Arthur Basil Clara Daniel David Edith Edwin Ella Emil Emma Felix Flora
    Frank George Grace Hannah Harold Helen Henry Hugo Ida Irene Jacob James Jane Joan Joseph Julia Karl
    Laura Leo Lucy Martin Mary Nora Olive Oscar Paul Peter Ralph Rosa Ruth Simon Sarah Thomas Victor Walter""".split()
)
WOMEN = tuple(
    """Ada Agnes Alice Anna Clara Edith Ella Emma Flora Grace Hannah Helen Ida Irene Jane Joan Julia Laura Lucy
    Mary Nora Olive Rosa Ruth Sarah""".split()
)
MEN = tuple(name for name in FIRST if name not in WOMEN)
LAST = tuple(
    """Adler Baker Barnes Bell Black Brandt Carr Chandler Cole Cooper Cross Dean Drake Ellis Fisher Fletcher
    Ford Frost Gray Hale Hart Hill Holt Hunter Keller King Lane Lowe Marsh Mason Miller Moss Nash North Page
    Parker Pike Poole Porter Potter Reed Rhodes Rose Shaw Smith Stone Taylor Turner Vance Wade Walker Ward
    Webb West Wood Young""".split()
)
_SPLIT_OF_TENTH = {0: "val", 1: "val", 2: "test", 3: "test"}


def person(dice: Dice) -> str:
    """Draw a first and a last name."""
    return f"{dice.pick(FIRST)} {dice.pick(LAST)}"


def surname(name: str) -> str:
    """Take the last name of a person."""
    return name.rpartition(" ")[2]


def year(dice: Dice) -> str:
    """Draw a year from 1790 to 1979."""
    return str(1790 + dice.below(190))


def split_of(name: str) -> str:
    """Tell the one split in which an entity of this name may occur: a fifth each is for val and for test."""
    return _SPLIT_OF_TENTH.get(hashlib.sha256(name.encode()).digest()[0] % 10, "train")
