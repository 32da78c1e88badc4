"""Which country a telephone number is in, by the longest calling code that it begins with.

A country is named by its calling code without the plus sign: ``49``, ``1``. Where several countries share a code they
get the digits that tell them apart: Jamaica is ``1876``, Kazakhstan ``77``. So to allow ``1`` does not allow the
Caribbean, where much of the fraud with paid-for messages goes.

Assigned codes after the ITU's list (https://www.itu.int/pub/T-SP-E.164D) and the area codes of the North American plan
(https://nationalnanpa.com), neither compared line by line: a code assigned recently may be missing.
"""

_LONGEST = 4

_CODES = """
1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91
92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240
241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291
297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 379 380 381 382 383 385 386 387
389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 672 673 674 675 676
677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 852 853 855 856 880 886 960 961 962 963 964 965 966 967
968 970 971 972 973 974 975 976 977 992 993 994 995 996 998
"""
_WITHIN_A_SHARED_CODE = """
77 1242 1246 1264 1268 1284 1340 1345 1441 1473 1649 1664 1670 1671 1684 1721 1758 1767 1784 1787 1809 1868 1869 1876
"""
_OF_NO_COUNTRY = "800 808 870 878 881 882 883 888 979"  # freephone, shared cost, satellites, networks, premium rate
_SAME_COUNTRY = {"1658": "1876", "1829": "1809", "1849": "1809", "1939": "1787", "76": "77"}

_COUNTRIES = frozenset(f"{_CODES} {_WITHIN_A_SHARED_CODE} {_OF_NO_COUNTRY}".split())


def country_of(e164: str) -> str | None:
    """The country of a number such as ``+4915112345678``; None where no calling code is assigned."""
    digits = e164.removeprefix("+")
    for length in range(_LONGEST, 0, -1):
        country = _SAME_COUNTRY.get(digits[:length], digits[:length])
        if country in _COUNTRIES:
            return country
    return None


def is_country(code: str) -> bool:
    """Whether ``country_of`` can answer ``code``."""
    return code in _COUNTRIES
