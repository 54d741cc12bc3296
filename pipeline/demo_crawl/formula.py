"""TeX formulas by a small grammar, and the prose of mathematics pages."""

from algok.pipeline.demo_crawl.draw import Draw

__all__ = ["mathematics_sentence", "mathematics_title", "tex"]

_LETTERS = (
    "x",
    "y",
    "z",
    "a",
    "b",
    "c",
    "n",
    "k",
    "m",
    "t",
    "u",
    "v",
    "\\alpha",
    "\\beta",
    "\\lambda",
    "\\theta",
    "\\mu",
    "\\sigma",
)
_FUNCTIONS = ("f", "g", "h", "\\varphi", "F", "G", "p", "q")
_RELATIONS = ("=", "\\le", "\\ge", "<", "\\ne", "\\approx")


def _atom(draw: Draw) -> str:
    mark = draw.unit()
    letter = draw.pick(_LETTERS)
    if mark < 0.45:
        return letter
    if mark < 0.60:
        return f"{letter}_{{{draw.pick(('i', 'j', 'n', str(draw.between(0, 9))))}}}"
    if mark < 0.75:
        return f"{letter}^{{{draw.pick(('2', '3', 'n', 'k', '-1', str(draw.between(4, 12))))}}}"
    if mark < 0.90:
        return str(draw.between(2, 99))
    return f"{draw.pick(_FUNCTIONS)}({letter})"


def tex(draw: Draw, depth: int) -> str:
    """An expression nested at most ``depth`` deep."""
    if depth == 0:
        return _atom(draw)
    mark = draw.unit()
    one = tex(draw, depth - 1)
    if mark < 0.35:
        sign = draw.pick(("+", "-", "\\cdot"))
        return f"{one} {sign} {tex(draw, depth - 1)}"
    if mark < 0.55:
        return f"\\frac{{{one}}}{{{tex(draw, depth - 1)}}}"
    if mark < 0.68:
        letter, top = draw.pick(("i", "k", "n")), draw.pick(("n", "m", "\\infty"))
        return f"\\sum_{{{letter}={draw.between(0, 2)}}}^{{{top}}} {one}"
    if mark < 0.80:
        letter, top = draw.pick(("x", "t", "u")), draw.pick(("1", "\\pi", "\\infty", "t"))
        return f"\\int_{{{draw.between(0, 3)}}}^{{{top}}} {one} \\, d{letter}"
    if mark < 0.90:
        return f"\\sqrt{{{one}}}"
    return f"{draw.pick(_FUNCTIONS)}\\left({one}\\right)"


_NOUNS_KO = (
    "함수 수열 행렬 벡터공간 확률변수 다항식 군 환 위상공간 급수 미분방정식 "
    "적분 사상 그래프 부분집합 고윳값 측도 연산자 정수 집합"
)
_NOUNS_EN = (
    "function,sequence,matrix,vector space,random variable,polynomial,group,ring,topological space,series,"
    "differential equation,integral,map,graph,subset,eigenvalue,measure,operator,integer,manifold"
)
_NOUNS = {"ko": _NOUNS_KO.split(), "en": _NOUNS_EN.split(",")}
_PROPERTIES_KO = (
    "연속이다 유계이다 수렴한다 가역이다 단조증가한다 유일하다 대칭이다 미분가능하다 유한하다 조밀하다 완비이다"
)
_PROPERTIES_EN = (
    "continuous bounded convergent invertible increasing unique symmetric differentiable finite dense complete"
)
_PROPERTIES = {"ko": _PROPERTIES_KO.split(), "en": _PROPERTIES_EN.split()}
_PATTERNS = {
    "ko": (
        "{n} $F$에 대하여 $E$가 성립한다고 하자.",
        "이때 $E$이므로 주어진 {n}은(는) {p}.",
        "양변에 $F$를 곱하면 $E$를 얻는다.",
        "따라서 {n} $F$의 값은 $E$로 계산된다.",
        "만약 $E$이면 임의의 {n}에 대하여 $F$가 존재한다.",
        "위 식에서 $F$를 대입하고 정리하면 {p}.",
        "{n}의 정의에 의하여 $E$가 되고, 이는 {n}의 성질과 같다.",
        "귀납법을 쓰기 위해 $F$일 때 $E$가 참이라고 가정하자.",
        "한편 {n}이(가) {p}는 사실은 $F$를 살펴보면 알 수 있다.",
        "증명은 $E$라는 부등식에서 출발한다.",
        "반례로 {n} $F$를 생각하면 $E$가 성립하지 않는다.",
        "{n}과(와) {n} 사이의 관계는 $E$로 나타낼 수 있다.",
    ),
    "en": (
        "Let $F$ be some {n} such that $E$.",
        "Since $E$, the {n} is {p}.",
        "Multiplying both sides by $F$ gives $E$.",
        "Hence the value of the {n} at $F$ is given by $E$.",
        "If $E$, then for every {n} there exists $F$.",
        "Substituting $F$ into the previous line shows that the {n} is {p}.",
        "By definition of the {n} we have $E$, which is a property of every {n}.",
        "Assume by induction that $E$ holds for $F$.",
        "That the {n} is {p} follows from looking at $F$.",
        "The proof starts from the inequality $E$.",
        "As a counterexample, take the {n} $F$, for which $E$ fails.",
        "The {n} and the {n} are related through $E$.",
        "It remains to show that the {n} $F$ is {p} whenever $E$.",
    ),
}
_TITLES = {
    "ko": ("{n}과 {n}의 관계", "{n}의 기본 성질과 증명", "{n} 문제 풀이 {d}", "{n}에 관한 정리 {d}"),
    "en": ("On the {n} and the {n}", "Basic properties of the {n}", "Problem {d}: the {n}", "Theorem {d} on the {n}"),
}


def _filled(draw: Draw, pattern: str, language: str) -> str:
    while "{n}" in pattern:
        noun = draw.pick(_NOUNS[language])
        if language == "ko":
            closed = (ord(noun[-1]) - 0xAC00) % 28 != 0
            for both, one in (("은(는)", "은는"), ("이(가)", "이가"), ("과(와)", "과와")):
                if pattern.partition("{n}")[2].startswith(both):
                    pattern = pattern.replace("{n}" + both, noun + one[0 if closed else 1], 1)
                    break
            else:
                pattern = pattern.replace("{n}", noun, 1)
        else:
            pattern = pattern.replace("{n}", noun, 1)
    return pattern


def mathematics_sentence(draw: Draw, language: str) -> str:
    """A sentence with inline formulas between dollar signs."""
    text = _filled(draw, draw.pick(_PATTERNS[language]), language).replace("{p}", draw.pick(_PROPERTIES[language]))
    relation = f"{tex(draw, 1)} {draw.pick(_RELATIONS)} {tex(draw, 1)}"
    return text.replace("$E$", f"${relation}$").replace("$F$", f"${_atom(draw)}$")


def mathematics_title(draw: Draw, language: str) -> str:
    """A page title."""
    return _filled(draw, draw.pick(_TITLES[language]), language).replace("{d}", str(draw.between(1, 99)))
