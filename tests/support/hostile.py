"""Texts that some format would read as markup, code or a formula."""

from hypothesis import strategies as st

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "a|b`c",
    "\x1b]0;title\x07\x1b[31m",
    "\\input{/etc/passwd} $x^2$ %&_#{}~",
    '=HYPERLINK("http://y")',
    "@SUM(1)",
    "+1",
    "-1",
    "\u202eevil",
    "{{ 7 * 7 }}{% raw %}",
    '" onmouseover="alert(1)',
    "javascript:alert(1)",
    "--check ?` !` [x] *y*",
    "\u4e2d\u6587 \u00e9",
)

hostile_texts = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=30))
