"""Kinds of living things, products and institutions for the passages of BoolQ."""
# ruff: noqa: E501 -- one template or list a line

from harness.workload.synthetic.lexicon.entities import Attribute, Kind, numbers
from harness.workload.synthetic.lexicon.names import person, year
from harness.workload.synthetic.lexicon.places import COLOURS, FOUNDER, LAND, OPENED

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
COATS = ("black", "white", "brown", "grey", "golden", "cream", "red", "spotted", "silver", "tan")
REGIONS = (
    "the highlands",
    "the south",
    "the marshes",
    "the plains",
    "the islands",
    "the border hills",
    "the delta",
)

MUSEUM = Kind(
    "museum",
    "the {} Museum",
    (
        "{s} is a {small, large, private, modern, charming} museum " + LAND + ".",
        "{s} is a museum with {two, three, four, five} floors " + LAND + ".",
    ),
    (
        FOUNDER,
        OPENED,
        Attribute(
            (
                "clocks",
                "maps",
                "dolls",
                "coins",
                "tools",
                "masks",
                "carpets",
                "stamps",
                "fossils",
                "bicycles",
            ),
            ("has a large collection of {v}", "is devoted to {v}"),
            ("the main hall of {s} is full of {v}.", "people travel far to see the {v} in {s}."),
            ("does {s} have a collection of {v}", "is {s} devoted to {v}", "are there {v} in {s}"),
        ),
        Attribute(
            WEEKDAYS,
            ("is closed on {v}", "does not open on {v}"),
            ("the doors of {s} stay shut on {v}.",),
            ("is {s} closed on {v}", "do the doors of {s} stay shut on {v}"),
        ),
        Attribute(
            ("mill", "bank", "barracks", "hospital", "church", "brewery", "school", "stable", "post office"),
            ("is housed in a former {v}", "occupies an old {v}"),
            ("before the move the home of {s} was a {v}.",),
            ("is {s} housed in a former {v}", "does {s} occupy an old {v}"),
        ),
        Attribute(
            ("ticket sales", "the city", "a lottery", "the state", "a bank", "gifts", "the university"),
            ("is paid for by {v}", "lives on money from {v}"),
            ("most of the budget of {s} comes from {v}.",),
            ("is {s} paid for by {v}", "does {s} live on money from {v}"),
        ),
    ),
)
FESTIVAL = Kind(
    "festival",
    "the {} Festival",
    (
        "{s} is a {lively, popular, small, noisy, cheerful} festival " + LAND + ".",
        "{s} is a festival with a {short, long, proud, strange} history " + LAND + ".",
    ),
    (
        FOUNDER,
        Attribute(
            MONTHS,
            ("is held in {v}", "takes place each {v}"),
            ("every {v} the streets fill with people for {s}.",),
            ("is {s} held in {v}", "does {s} take place in {v}"),
        ),
        Attribute(
            ("jazz", "poetry", "kites", "lanterns", "puppets", "flowers", "chess", "opera", "boats", "bread"),
            ("is all about {v}", "celebrates {v}"),
            ("what people come to {s} for is {v}.",),
            ("is {s} about {v}", "does {s} celebrate {v}"),
        ),
        Attribute(
            year,
            ("was first held in {v}", "goes back to {v}"),
            ("the first year of {s} was {v}.",),
            ("was {s} first held in {v}", "does {s} go back to {v}"),
        ),
        Attribute(
            numbers(2, 19, 1, "{} days"),
            ("lasts {v}", "goes on for {v}"),
            ("the programme of {s} is spread over {v}.",),
            ("does {s} last {v}", "does {s} go on for {v}"),
        ),
        Attribute(
            (
                "a park",
                "a barn",
                "the town hall",
                "a market square",
                "a theatre",
                "a field",
                "a railway hall",
            ),
            ("is held in {v}", "makes its home in {v}"),
            ("the stage of {s} stands in {v}.",),
            ("is {s} held in {v}", "does {s} make its home in {v}"),
        ),
    ),
)
LINE = Kind(
    "railway",
    "the {} Railway",
    (
        "{s} is a {short, busy, slow, scenic, rural} railway " + LAND + ".",
        "{s} is a railway with {six, seven, eight, nine} stations " + LAND + ".",
    ),
    (
        OPENED,
        Attribute(
            ("coal", "timber", "slate", "milk", "grain", "iron ore", "stone", "cattle", "mail", "salt"),
            ("was built to carry {v}", "still carries {v}"),
            ("over the years {s} earned its money with {v}.",),
            ("was {s} built to carry {v}", "does {s} carry {v}"),
        ),
        Attribute(
            numbers(12, 96, 4, "{} kilometres"),
            ("is {v} long", "runs for {v}"),
            ("the length of {s} is given as {v}.",),
            ("is {s} {v} long", "does {s} run for {v}"),
        ),
        Attribute(
            person,
            ("was surveyed by {v}", "was laid out by {v}"),
            ("the chief engineer of {s} was {v}.",),
            ("was {s} surveyed by {v}", "was {v} the chief engineer of {s}"),
        ),
        Attribute(
            COLOURS,
            ("runs {v} carriages", "paints its engines {v}"),
            ("the carriages of {s} are {v}.",),
            ("does {s} run {v} carriages", "are the carriages of {s} {v}"),
        ),
        Attribute(
            ("a tunnel", "a viaduct", "a gorge", "a forest", "a ferry", "a swamp", "a desert"),
            ("is famous for {v} on its way", "leads across {v}"),
            ("on a journey along {s} one sees {v}.",),
            ("is there {v} on the way of {s}", "does {s} lead across {v}"),
        ),
    ),
)
FINCH = Kind(
    "bird",
    "the {} finch",
    (
        "{s} is a {small, shy, plump, noisy, rare} bird of {open country, farmland, gardens, river valleys}.",
        "{s} is a bird with a {short, long, curved, strong} beak and a {soft, loud, sweet, harsh} call.",
    ),
    (
        Attribute(
            ("seeds", "worms", "berries", "flies", "beetles", "buds", "snails", "spiders", "nuts"),
            ("feeds on {v}", "eats mostly {v}"),
            ("the young of {s} are raised on {v}.", "a large part of the diet of {s} is {v}."),
            ("does {s} feed on {v}", "does {s} eat mostly {v}"),
        ),
        Attribute(
            ("hedges", "reeds", "barns", "hollow trees", "tall grass", "cliffs", "thorn bushes", "chimneys"),
            ("nests in {v}", "makes its nest in {v}"),
            ("the nest of {s} is found in {v}.",),
            ("does {s} nest in {v}", "is the nest of {s} found in {v}"),
        ),
        Attribute(
            COATS,
            ("has a {v} breast", "can be told by its {v} breast"),
            ("the feathers on the breast of {s} are {v}.",),
            ("does {s} have a {v} breast", "is the breast of {s} {v}"),
        ),
        Attribute(
            numbers(2, 12, 1, "{} eggs"),
            ("lays {v}", "has a clutch of {v}"),
            ("in a good year {s} will lay {v}.",),
            ("does {s} lay {v}", "does {s} have a clutch of {v}"),
        ),
        Attribute(
            person,
            ("was first described by {v}", "was first drawn by {v}"),
            ("the first account of {s} was written by {v}.",),
            ("was {s} first described by {v}", "did {v} describe {s}"),
        ),
        Attribute(
            REGIONS,
            ("spends the winter in {v}", "flies to {v} for the winter"),
            ("in the cold months {s} moves to {v}.",),
            ("does {s} spend the winter in {v}", "does {s} fly to {v} for the winter"),
        ),
    ),
)
HOUND = Kind(
    "breed",
    "the {} hound",
    (
        "{s} is a {large, small, lean, sturdy, gentle} breed of dog that is {common, rare, popular} in towns.",
        "{s} is a breed of dog with a {long, short, curly, thick} tail and {short, long} legs.",
    ),
    (
        Attribute(
            (
                "herding sheep",
                "hunting foxes",
                "guarding farms",
                "pulling carts",
                "catching rats",
                "finding deer",
            ),
            ("was bred for {v}", "is good at {v}"),
            ("shepherds and farmers kept {s} for {v}.",),
            ("was {s} bred for {v}", "is {s} good at {v}"),
        ),
        Attribute(
            COATS,
            ("has a {v} coat", "is almost always {v}"),
            ("the coat of {s} is {v}.",),
            ("does {s} have a {v} coat", "is the coat of {s} {v}"),
        ),
        Attribute(
            REGIONS,
            ("comes from {v}", "was first kept in {v}"),
            ("the home of {s} is {v}.",),
            ("does {s} come from {v}", "is the home of {s} {v}"),
        ),
        Attribute(
            numbers(8, 62, 3, "{} kilograms"),
            ("weighs {v}", "reaches a weight of {v}"),
            ("the usual weight of {s} is {v}.",),
            ("does {s} weigh {v}", "is the usual weight of {s} {v}"),
        ),
        Attribute(
            person,
            ("was first bred by {v}", "was made known by {v}"),
            ("the first breeder of {s} was {v}.",),
            ("was {s} first bred by {v}", "was {v} the first breeder of {s}"),
        ),
        Attribute(
            ("thunder", "water", "strangers", "cats", "horses", "crowds", "children", "heat"),
            ("is afraid of {v}", "does not like {v}"),
            ("a weakness of {s} is its fear of {v}.",),
            ("is {s} afraid of {v}", "does {s} dislike {v}"),
        ),
    ),
)
CHEESE = Kind(
    "cheese",
    "{} cheese",
    (
        "{s} is a {mild, strong, hard, soft, salty} cheese that is {sold, eaten, liked} all over the country.",
        "{s} is a cheese with a {thin, thick, waxy, dark} rind and a {nutty, sweet, sharp, fresh} taste.",
    ),
    (
        Attribute(
            ("goats", "sheep", "cows", "buffalo", "mares", "yaks", "reindeer"),
            ("is made from the milk of {v}", "needs milk from {v}"),
            ("the milk for {s} comes from {v}.",),
            ("is {s} made from the milk of {v}", "does the milk for {s} come from {v}"),
        ),
        Attribute(
            ("garlic", "pepper", "honey", "thyme", "smoke", "mustard", "walnuts", "cider", "mint"),
            ("is flavoured with {v}", "gets its flavour from {v}"),
            ("makers of {s} season it with {v}.",),
            ("is {s} flavoured with {v}", "does {s} get its flavour from {v}"),
        ),
        Attribute(
            numbers(3, 39, 2, "{} weeks"),
            ("is aged for {v}", "is kept in a cellar for {v}"),
            ("by law {s} has to ripen for {v}.",),
            ("is {s} aged for {v}", "does {s} have to ripen for {v}"),
        ),
        Attribute(
            COLOURS,
            ("is wrapped in {v} paper", "is sold in {v} boxes"),
            ("the label of {s} is {v}.",),
            ("is {s} wrapped in {v} paper", "is the label of {s} {v}"),
        ),
        Attribute(
            person,
            ("was first made by {v}", "was the idea of {v}"),
            ("the inventor of {s} was {v}.",),
            ("was {s} first made by {v}", "was {v} the inventor of {s}"),
        ),
        Attribute(
            REGIONS,
            ("comes from {v}", "is a product of {v}"),
            ("the dairies that make {s} are in {v}.",),
            ("does {s} come from {v}", "is {s} made in {v}"),
        ),
    ),
)
FLUTE = Kind(
    "flute",
    "the {} flute",
    (
        "{s} is a {long, short, slender, heavy, plain} flute with a {warm, bright, soft, hollow} tone.",
        "{s} is a flute of the {north, south, east, west} that is played by {amateurs, soldiers, children}.",
    ),
    (
        Attribute(
            ("bamboo", "silver", "ebony", "bone", "brass", "maple", "ivory", "clay", "cherry wood"),
            ("is made of {v}", "is carved or cast from {v}"),
            ("the body of {s} is of {v}.",),
            ("is {s} made of {v}", "is the body of {s} made of {v}"),
        ),
        Attribute(
            numbers(3, 14, 1, "{} holes"),
            ("has {v}", "is played with {v}"),
            ("along the body of {s} there are {v}.",),
            ("does {s} have {v}", "is {s} played with {v}"),
        ),
        Attribute(
            person,
            ("was invented by {v}", "was improved by {v}"),
            ("the inventor of {s} was {v}.",),
            ("was {s} invented by {v}", "did {v} invent {s}"),
        ),
        Attribute(
            year,
            ("was first built in {v}", "was first heard in {v}"),
            ("the first model of {s} dates from {v}.",),
            ("was {s} first built in {v}", "was {s} first heard in {v}"),
        ),
        Attribute(
            ("weddings", "funerals", "harvests", "parades", "church services", "dances", "fairs"),
            ("is played at {v}", "is a favourite at {v}"),
            ("the usual place to hear {s} is at {v}.",),
            ("is {s} played at {v}", "is {s} a favourite at {v}"),
        ),
        Attribute(
            REGIONS,
            ("comes from {v}", "is taught mainly in {v}"),
            ("the best makers of {s} live in {v}.",),
            ("does {s} come from {v}", "is {s} taught mainly in {v}"),
        ),
    ),
)
THINGS = (MUSEUM, FESTIVAL, LINE, FINCH, HOUND, CHEESE, FLUTE)
