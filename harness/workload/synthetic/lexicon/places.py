"""Kinds of places for the passages of BoolQ."""

from harness.workload.synthetic.lexicon.entities import Attribute, Kind, numbers
from harness.workload.synthetic.lexicon.names import person, year

STONES = ("brick", "granite", "limestone", "marble", "oak", "sandstone", "slate", "flint", "pine", "concrete")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "grey", "brown", "orange", "purple")
LAND = "in the {north, south, east, west} of the {country, province, county, region}"

OPENED = Attribute(
    year,
    ("was opened in {v}", "was finished in {v}", "has been open since {v}"),
    ("the opening of {s} took place in {v}.",),
    ("was {s} opened in {v}", "did {s} open in {v}", "has {s} been open since {v}"),
)
ARCHITECT = Attribute(
    person,
    ("was designed by {v}", "was drawn up by {v}"),
    ("the plans for {s} were drawn by {v}.", "the architect of {s} was {v}."),
    ("was {s} designed by {v}", "did {v} design {s}", "was {v} the architect of {s}"),
)
FOUNDER = Attribute(
    person,
    ("was founded by {v}", "was started by {v}", "owes its beginnings to {v}"),
    ("the founder of {s} was {v}.",),
    ("was {s} founded by {v}", "did {v} found {s}", "was {v} the founder of {s}"),
)

LAKE = Kind(
    "lake",
    "{} Lake",
    (
        "{s} is a {large, small, quiet, narrow, round} lake " + LAND + ".",
        "{s} is a lake with {wooded, steep, gentle, grassy} shores " + LAND + ".",
    ),
    (
        Attribute(
            ("sand", "mud", "clay", "gravel", "rock", "chalk", "peat", "pebbles"),
            ("has a bed of {v}", "has a bottom that consists of {v}"),
            ("divers report that the bed of {s} is mostly {v}.",),
            ("does {s} have a bed of {v}", "is the bottom of {s} mostly {v}"),
        ),
        Attribute(
            ("trout", "perch", "pike", "carp", "eels", "salmon", "bream", "roach"),
            ("is known for its {v}", "holds a great number of {v}"),
            ("anglers come to {s} for the {v}.", "the catch from {s} is mainly {v}."),
            ("is {s} known for its {v}", "do anglers come to {s} for the {v}", "are there {v} in {s}"),
        ),
        Attribute(
            numbers(12, 96, 4, "{} metres"),
            ("is {v} deep", "reaches a depth of {v}"),
            ("the depth of {s} is given as {v}.",),
            ("is {s} {v} deep", "is the depth of {s} {v}"),
        ),
        Attribute(
            person,
            ("was first mapped by {v}", "was first measured by {v}"),
            ("the first map of {s} was drawn by {v}.",),
            ("was {s} first mapped by {v}", "did {v} draw the first map of {s}"),
        ),
        Attribute(
            ("drinking water", "fishing", "sailing", "rowing", "swimming", "watering crops", "making power"),
            ("is used mainly for {v}", "serves chiefly for {v}"),
            ("today the main use of {s} is {v}.",),
            ("is {s} used mainly for {v}", "is {v} the main use of {s}"),
        ),
        Attribute(
            (
                "melting snow",
                "hot springs",
                "rain water",
                "a glacier",
                "two rivers",
                "a canal",
                "a waterfall",
            ),
            ("is fed by {v}", "gets most of its water from {v}"),
            ("most of the water in {s} comes from {v}.",),
            ("is {s} fed by {v}", "does the water in {s} come from {v}"),
        ),
    ),
)
BRIDGE = Kind(
    "bridge",
    "{} Bridge",
    (
        "{s} is a {long, short, narrow, wide, graceful} bridge " + LAND + ".",
        "{s} is a bridge over a {wide, slow, deep, rapid} river " + LAND + ".",
    ),
    (
        Attribute(
            (*STONES, "steel", "iron"),
            ("is made of {v}", "was built of {v}", "rests on piers of {v}"),
            ("the main material of {s} is {v}.",),
            ("is {s} made of {v}", "was {s} built of {v}"),
        ),
        ARCHITECT,
        OPENED,
        Attribute(
            numbers(110, 590, 20, "{} metres"),
            ("is {v} long", "has a length of {v}"),
            ("the length of {s} is given as {v}.",),
            ("is {s} {v} long", "is the length of {s} {v}"),
        ),
        Attribute(
            ("trams", "trains", "cyclists", "buses", "lorries", "farm carts", "a water pipe", "a footpath"),
            ("carries {v}", "is used to carry {v}"),
            ("these days {s} carries {v}.",),
            ("does {s} carry {v}", "is {s} used to carry {v}"),
        ),
        Attribute(
            COLOURS,
            ("is painted {v}", "has {v} railings"),
            ("since the last repairs {s} has been painted {v}.",),
            ("is {s} painted {v}", "does {s} have {v} railings"),
        ),
    ),
)
TOWER = Kind(
    "tower",
    "{} Tower",
    (
        "{s} is a {tall, slender, square, round, lonely} tower " + LAND + ".",
        "{s} is a tower on a {green, bare, wooded, windy} hill " + LAND + ".",
    ),
    (
        Attribute(
            STONES,
            ("is made of {v}", "was built of {v}", "has walls of {v}"),
            ("the walls of {s} are of {v}.",),
            ("is {s} made of {v}", "are the walls of {s} made of {v}"),
        ),
        ARCHITECT,
        OPENED,
        Attribute(
            numbers(22, 98, 4, "{} metres"),
            ("is {v} high", "rises to {v}"),
            ("the height of {s} is given as {v}.",),
            ("is {s} {v} high", "is the height of {s} {v}"),
        ),
        Attribute(
            ("prison", "lighthouse", "granary", "chapel", "water tank", "school", "treasury", "signal post"),
            ("was first used as a {v}", "began its life as a {v}"),
            ("in its early days {s} served as a {v}.",),
            ("was {s} first used as a {v}", "did {s} begin its life as a {v}"),
        ),
        Attribute(
            ("copper", "lead", "thatch", "glass", "tiles", "tin", "zinc", "shingles"),
            ("has a roof of {v}", "is covered with {v}"),
            ("the roof of {s} is of {v}.",),
            ("does {s} have a roof of {v}", "is {s} covered with {v}"),
        ),
    ),
)
CASTLE = Kind(
    "castle",
    "{} Castle",
    (
        "{s} is a {ruined, small, handsome, gloomy, famous} castle " + LAND + ".",
        "{s} is a castle with {four, five, six, seven} towers " + LAND + ".",
    ),
    (
        Attribute(
            ("a cliff", "an island", "a low hill", "a river bank", "a moor", "a rocky spur", "a headland"),
            ("stands on {v}", "was built on {v}"),
            ("the site of {s} is {v}.",),
            ("does {s} stand on {v}", "was {s} built on {v}"),
        ),
        Attribute(
            ("a fire", "a flood", "a storm", "an earthquake", "a siege", "an explosion", "a landslide"),
            ("was badly damaged by {v}", "was once ruined by {v}"),
            ("much of {s} was lost to {v}.",),
            ("was {s} damaged by {v}", "was {s} ever ruined by {v}"),
        ),
        Attribute(
            person,
            ("belongs to {v}", "is owned by {v}"),
            ("the present owner of {s} is {v}.",),
            ("does {s} belong to {v}", "is {s} owned by {v}", "is {v} the owner of {s}"),
        ),
        Attribute(
            year,
            ("was begun in {v}", "was built in {v}"),
            ("the building of {s} began in {v}.",),
            ("was {s} begun in {v}", "was {s} built in {v}"),
        ),
        Attribute(
            STONES,
            ("has walls of {v}", "was built of {v}"),
            ("the outer wall of {s} is of {v}.",),
            ("does {s} have walls of {v}", "was {s} built of {v}"),
        ),
        Attribute(
            ("weddings", "concerts", "lectures", "plays", "film shoots", "auctions", "dances"),
            ("is often used for {v}", "is let for {v}"),
            ("the great hall of {s} is let for {v}.",),
            ("is {s} used for {v}", "is {s} let for {v}"),
        ),
    ),
)
PORT = Kind(
    "town",
    "Port {}",
    (
        "{s} is a {busy, sleepy, pretty, modern, windy} town on the {north, south, east, west} coast.",
        "{s} is a town with a {deep, shallow, sheltered, sandy} harbour " + LAND + ".",
    ),
    (
        FOUNDER,
        Attribute(
            ("wool", "salt", "timber", "tea", "coal", "sugar", "herring", "wine", "cotton", "paper"),
            ("grew rich on {v}", "lives by the trade in {v}"),
            ("the wealth of {s} came from {v}.",),
            ("did {s} grow rich on {v}", "does {s} live by the trade in {v}"),
        ),
        Attribute(
            year,
            ("was given its charter in {v}", "became a town in {v}"),
            ("the charter of {s} dates from {v}.",),
            ("was {s} given its charter in {v}", "did {s} become a town in {v}"),
        ),
        Attribute(
            numbers(1200, 9600, 400, "{} people"),
            ("is home to {v}", "has a population of {v}"),
            ("at the last count {s} had {v}.",),
            ("is {s} home to {v}", "does {s} have a population of {v}"),
        ),
        Attribute(
            ("an anchor", "a lion", "a swan", "a ship", "an oak tree", "a crown", "a key", "a wolf"),
            ("has {v} on its flag", "shows {v} on its seal"),
            ("the coat of arms of {s} shows {v}.",),
            ("does {s} have {v} on its flag", "is there {v} on the flag of {s}"),
        ),
        Attribute(
            ("ferry", "tram", "steam train", "cable car", "night bus", "mail boat", "horse cart"),
            ("can be reached by {v}", "is linked to the capital by {v}"),
            ("most visitors get to {s} by {v}.",),
            ("can {s} be reached by {v}", "is {s} linked to the capital by {v}"),
        ),
    ),
)
PLACES = (LAKE, BRIDGE, TOWER, CASTLE, PORT)
