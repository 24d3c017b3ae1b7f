"""The report on published figures of three provinces: its figures, its sentences, its chapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impact.errors import ReportError
from impact.published import (
    PublishedFigures,
    Quantity,
    Window,
    account,
    check_figures,
    draw_money_per_project,
    draw_windows,
    shown,
)
from impact.report.printed import record_accounts, record_checks, record_figures
from impact.report.results import Block, Record, bullets, callout
from impact.report.text import LANGUAGES, text

__all__ = ["PROGRAMMES", "add_chapters", "amounts_between", "record_numbers", "summarise"]

PROGRAMMES = {
    "lai_chau": ("Lai Châu", Window(2021, 2025)),
    "cao_bang": ("Cao Bằng", Window(2012, 2022)),
    "hung_yen": ("Hưng Yên", Window(2021, 2021)),
}

_BETWEEN = {
    "later_projects": text("Projects since the first article", "Số đề án sau bài báo đầu"),
    "later_support": text("Support since the first article", "Kinh phí sau bài báo đầu"),
    "later_mean": text(
        "Support per project since the first article", "Hỗ trợ một đề án sau bài báo đầu"
    ),
    "later_brands": text(
        "Products with a brand since the first article", "Sản phẩm có nhãn hiệu sau bài báo đầu"
    ),
    "earlier_mean": text("Support per project, first article", "Hỗ trợ một đề án, bài báo đầu"),
    "counterpart_ratio": text(
        "Counterpart per project, Cao Bằng over Lai Châu",
        "Vốn đối ứng một đề án, Cao Bằng so với Lai Châu",
    ),
}

_ANSWER = text(
    "The press prints {lai_chau.projects} in Lai Châu with {lai_chau.support} of support and "
    "{lai_chau.counterpart} from beneficiaries ([[2021–2025]]); {cao_bang.projects} in Cao "
    "Bằng with {cao_bang.counterpart} from beneficiaries ([[2012–2022]]); and "
    "{hung_yen.output_per_worker} of craft-village output in Hưng Yên ([[2021]]). These are sums "
    "of "
    "printed figures. They do not say what the programmes changed.",
    "Báo chí công bố {lai_chau.projects} ở Lai Châu với {lai_chau.support} kinh phí hỗ trợ và "
    "{lai_chau.counterpart} vốn đối ứng ([[2021–2025]]); {cao_bang.projects} ở Cao Bằng với "
    "{cao_bang.counterpart} vốn đối ứng ([[2012–2022]]); và {hung_yen.output_per_worker} giá "
    "trị sản xuất của làng nghề Hưng Yên ([[2021]]). Đây là phép cộng các số "
    "liệu đã công bố, không cho biết chương trình đã làm thay đổi điều gì.",
)


def amounts_between(published: PublishedFigures) -> dict[str, Quantity]:
    """Return what two articles, or two provinces, say together: increments, means, one ratio.

    The nested window of the first article has one use: what was added since.
    """
    later_projects = published.increment(published["F002"], published["F030"])
    later_support = published.increment(published["F003"], published["F031"])
    lai_chau = _counterpart(published, "lai_chau")
    cao_bang = _counterpart(published, "cao_bang")
    return {
        "later_projects": later_projects,
        "later_support": later_support,
        "later_mean": later_support / later_projects,
        "later_brands": published.increment(published["F009"], published["F037"]),
        "earlier_mean": published.ratio(published["F031"], published["F030"]),
        "counterpart_ratio": cao_bang / lai_chau,
    }


def _counterpart(published: PublishedFigures, name: str) -> Quantity:
    """Return the counterpart per project of a programme."""
    found = account(published, *PROGRAMMES[name], "counterpart_per_project")
    if found.quantity is None:
        raise ReportError(
            f"the counterpart per project of {PROGRAMMES[name][0]} cannot be had from the figures: "
            f"{found.note['en']} Restore data/published_figures.csv."
        )
    return found.quantity


def record_numbers(record: Record, published: PublishedFigures) -> dict[str, Block]:
    """Record every figure, account and check; return the tables and drawings by name."""
    blocks = record_accounts(record, published, PROGRAMMES)
    blocks["figures"] = record_figures(record, published)
    blocks["checks"] = record_checks(record, published, check_figures(published))
    for name, amount in amounts_between(published).items():
        record.value(name, label=_BETWEEN[name], **shown(amount))
    blocks["windows"] = _draw_windows(record, published)
    blocks["money"] = _draw_money(record, published)
    return blocks


def _draw_windows(record: Record, published: PublishedFigures) -> Block:
    """Draw the years each set of figures covers."""
    return record.figure(
        "windows",
        {language: draw_windows(published, language) for language in LANGUAGES},
        text("The years each set of figures covers", "Giai đoạn của từng nhóm số liệu"),
        text(
            "Bars over the years [[2012]] to [[2025]]. Lai Châu: {f002} in [[2021–2025]] and, "
            "below "
            "it and inside it, {f030} from [[2021]] to an unknown date. Hưng Yên: craft villages "
            "in "
            "[[2021]]. Cao Bằng: {f054} in [[2012–2022]] and no local funding in [[2023]].",
            "Các thanh trải theo năm từ [[2012]] đến [[2025]]. Lai Châu: {f002} giai đoạn "
            "[[2021–2025]] và nằm trong đó là {f030} từ [[2021]] đến thời điểm không rõ. Hưng Yên: "
            "làng nghề năm [[2021]]. Cao Bằng: {f054} giai đoạn [[2012–2022]] và không có kinh phí "
            "địa phương năm [[2023]].",
        ),
        caption=text(
            "A pale bar lies inside the bar above it and is never added to it; a hollow one stands "
            "for nothing spent.",
            "Thanh nhạt nằm trong thanh phía trên và không bao giờ được cộng thêm; thanh rỗng là "
            "không có kinh phí.",
        ),
    )


def _draw_money(record: Record, published: PublishedFigures) -> Block:
    """Draw support and counterpart per project."""
    drawn = [PROGRAMMES["lai_chau"], PROGRAMMES["cao_bang"]]
    return record.figure(
        "money",
        {language: draw_money_per_project(published, drawn, language) for language in LANGUAGES},
        text(
            "Support and counterpart per project",
            "Kinh phí hỗ trợ và vốn đối ứng bình quân một đề án",
        ),
        text(
            "Bars of money per project, support to the left of zero and counterpart to the right. "
            "Lai Châu: national and local support together {lai_chau.support_per_project}, "
            "counterpart {lai_chau.counterpart_per_project}. Cao Bằng: support not printed, "
            "counterpart {cao_bang.counterpart_per_project}.",
            "Các thanh thể hiện số tiền bình quân một đề án, kinh phí hỗ trợ ở bên trái số không, "
            "vốn "
            "đối ứng ở bên phải. Lai Châu: hỗ trợ quốc gia và địa phương cộng lại "
            "{lai_chau.support_per_project}, vốn đối ứng {lai_chau.counterpart_per_project}. Cao "
            "Bằng: không công bố kinh phí hỗ trợ, vốn đối ứng {cao_bang.counterpart_per_project}.",
        ),
        caption=text(
            "All amounts are divided by all projects of the window; > marks a lower bound, in "
            "whole "
            "millions rounded down.",
            "Mọi khoản tiền đều chia cho tổng số đề án của giai đoạn; dấu > là cận dưới, làm tròn "
            "xuống đến triệu đồng.",
        ),
    )


def summarise(record: Record, reading: Mapping[str, Any]) -> None:
    """Fill the first page: the answer in printed figures, the reading from the plan."""
    record.summary(answer=_ANSWER, **reading)


def add_chapters(record: Record, published: PublishedFigures, blocks: Mapping[str, Block]) -> None:
    """Add the chapters; `record_numbers` has made their tables and drawings."""
    _add_what(record, blocks)
    _add_money(record, blocks)
    _add_craft_villages(record, blocks)
    _add_checks(record, blocks)
    _add_not_computed(record)
    _add_sources(record, published, blocks)


def _add_what(record: Record, blocks: Mapping[str, Block]) -> None:
    """Say what the report is."""
    record.section(
        "what",
        text("What this report is", "Báo cáo này là gì"),
        callout(
            text(
                "Accounting of published figures, no causal claim: nothing here is compared with "
                "what would have happened without the programmes.",
                "Hạch toán các số liệu đã công bố, không khẳng định quan hệ nhân quả: không có con "
                "số nào được so với tình huống không có chương trình.",
            ),
            "caution",
        ),
        text(
            "Lai Châu's window was printed on [[5 November 2025]], before it was over. Hưng Yên "
            "is the "
            "province as it was before it was joined with Thái Bình on [[1 July 2025]].",
            "Số liệu giai đoạn của Lai Châu được đăng ngày [[5/11/2025]], khi giai đoạn chưa kết "
            "thúc. Hưng Yên là tỉnh Hưng Yên trước khi hợp nhất với Thái Bình ngày [[1/7/2025]].",
        ),
        blocks["windows"],
    )


def _add_money(record: Record, blocks: Mapping[str, Block]) -> None:
    """Add money and projects."""
    record.section(
        "money",
        text("Money and projects", "Kinh phí và đề án"),
        text(
            "In Lai Châu {lai_chau.national_projects} of the national programme took "
            "{lai_chau.national_support}, {lai_chau.national_support_per_project}, and "
            "{lai_chau.local_projects} of the local one {lai_chau.local_support}, "
            "{lai_chau.local_support_per_project}. The national programme has "
            "{lai_chau.national_share_of_projects} of the projects and "
            "{lai_chau.national_share_of_support} of the support.",
            "Ở Lai Châu, {lai_chau.national_projects} khuyến công quốc gia sử dụng "
            "{lai_chau.national_support}, tức {lai_chau.national_support_per_project}; "
            "{lai_chau.local_projects} khuyến công địa phương sử dụng {lai_chau.local_support}, "
            "tức "
            "{lai_chau.local_support_per_project}. Khuyến công quốc gia chiếm "
            "{lai_chau.national_share_of_projects} số đề án và "
            "{lai_chau.national_share_of_support} kinh phí.",
        ),
        blocks["money"],
        text(
            "Beneficiaries added {lai_chau.counterpart_per_project} in Lai Châu and "
            "{cao_bang.counterpart_per_project} in Cao Bằng, {counterpart_ratio} times as much "
            "({counterpart_ratio:interval} by the printed digits); the years and the prices "
            "differ.",
            "Đơn vị thụ hưởng góp {lai_chau.counterpart_per_project} ở Lai Châu và "
            "{cao_bang.counterpart_per_project} ở Cao Bằng, gấp {counterpart_ratio} lần "
            "({counterpart_ratio:interval} theo các chữ số công bố); năm và mặt bằng giá khác "
            "nhau.",
        ),
        text(
            "Leverage in Lai Châu is {lai_chau.leverage} VND of counterpart for one VND of support "
            "({lai_chau.leverage:interval} by the printed digits): indicative, since both amounts "
            "are lower bounds. Support and counterpart together are "
            "{lai_chau.support_and_counterpart}.",
            "Hệ số đòn bẩy ở Lai Châu là {lai_chau.leverage} đồng vốn đối ứng trên một đồng hỗ trợ "
            "({lai_chau.leverage:interval} theo các chữ số công bố): chỉ để tham khảo vì cả hai số "
            "đều là cận dưới. Kinh phí hỗ trợ và vốn đối ứng cộng lại là "
            "{lai_chau.support_and_counterpart}.",
        ),
        blocks["accounts"],
        blocks["ranges"],
    )


def _add_craft_villages(record: Record, blocks: Mapping[str, Block]) -> None:
    """Add craft villages."""
    record.section(
        "craft_villages",
        text("Craft villages of Hưng Yên", "Làng nghề Hưng Yên"),
        text(
            "Craft villages report {hung_yen.craft_village_output} of output and "
            "{hung_yen.craft_village_workers}: {hung_yen.output_per_worker} "
            "({hung_yen.output_per_worker:interval} by the printed digits). Output is gross, so "
            "this "
            "is neither income nor value added.",
            "Làng nghề báo cáo {hung_yen.craft_village_output} giá trị sản xuất và "
            "{hung_yen.craft_village_workers}: {hung_yen.output_per_worker} "
            "({hung_yen.output_per_worker:interval} theo các chữ số công bố). Đây là giá trị sản "
            "xuất gộp, không phải thu nhập hay giá trị tăng thêm.",
        ),
        blocks["craft_villages"],
        text(
            "The establishments of the province, {f043} and undated, are another population: "
            "workers "
            "per establishment are not computed.",
            "Các cơ sở công nghiệp nông thôn của tỉnh, {f043} và không rõ năm, là một tổng thể "
            "khác: không tính số lao động trên một cơ sở.",
        ),
    )


def _add_checks(record: Record, blocks: Mapping[str, Block]) -> None:
    """Add whether the figures agree."""
    record.section(
        "checks",
        text("Do the figures agree?", "Số liệu có khớp nhau không?"),
        blocks["checks"],
        text(
            "Of {copies} figures that two translations of one article repeat, {copies_agreeing} "
            "agree. The other contradicts: one translation puts the counterpart of {f004} beside "
            "the "
            "support, the other makes it a part. National and local money, {f006} and {f008}, use "
            "up "
            "the support, {f003}; the counterpart stands beside it. The words alone would not "
            "settle "
            "this, as a lower bound has no ceiling: the last printed digit does.",
            "Trong {copies} số liệu mà hai bản dịch của cùng một bài báo lặp lại, "
            "{copies_agreeing} "
            "số trùng khớp. Số còn lại mâu thuẫn: một bản đặt vốn đối ứng {f004} bên cạnh kinh phí "
            "hỗ trợ, bản kia coi là một phần của kinh phí. Nguồn quốc gia và địa phương, {f006} và "
            "{f008}, đã bằng toàn bộ kinh phí {f003} được công bố; vốn đối ứng vì vậy là khoản "
            "riêng. "
            "Chỉ riêng lời văn thì chưa đủ kết luận vì cận dưới không có trần: chữ số cuối cùng "
            "được công bố mới cho phép kết luận.",
        ),
        text(
            "An earlier article prints {f030} and {f031} in Lai Châu, {earlier_mean}. They lie "
            "inside the later window. Since then came {later_projects}, {later_support} "
            "({later_support:interval} by the printed digits; {later_mean}, indicative) and brands "
            "of {later_brands}.",
            "Một bài báo trước đó công bố {f030} và {f031} ở Lai Châu, {earlier_mean}. Các số này "
            "nằm trong giai đoạn sau. Từ đó có thêm {later_projects}, {later_support} "
            "({later_support:interval} theo các chữ số công bố; {later_mean}, chỉ để tham khảo) và "
            "nhãn hiệu của {later_brands}.",
        ),
    )


def _add_not_computed(record: Record) -> None:
    """Add what cannot be computed."""
    record.section(
        "not_computed",
        text("What cannot be computed", "Những gì không tính được"),
        bullets(
            text(
                "Leverage, support per project and shares of money in Cao Bằng: the total support "
                "of "
                "[[2012–2022]] is not printed and no other figure gives it.",
                "Hệ số đòn bẩy, hỗ trợ bình quân và cơ cấu kinh phí của Cao Bằng: tổng kinh phí hỗ "
                "trợ giai đoạn [[2012–2022]] không được công bố và không suy ra được từ số khác.",
            ),
            text(
                "Support and projects in Hưng Yên: not printed. Output of craft villages cannot be "
                "set against support.",
                "Kinh phí và số đề án của Hưng Yên: không công bố. Không thể đối chiếu giá trị sản "
                "xuất làng nghề với kinh phí hỗ trợ.",
            ),
            text(
                "A total over the three provinces: their years differ.",
                "Tổng của cả ba tỉnh: các giai đoạn khác nhau.",
            ),
            text(
                "Cost per job: no figure counts jobs created.",
                "Chi phí trên một việc làm: không có số liệu về việc làm được tạo ra.",
            ),
            text(
                "Money paid back in Cao Bằng: it is said to exist, no amount is printed. Local "
                "funding of [[2023]] was {f062}; national money of that year is not excluded.",
                "Kinh phí hoàn trả ở Cao Bằng: có nêu nhưng không công bố số tiền. Kinh phí địa "
                "phương năm [[2023]] là {f062}; nguồn quốc gia năm đó không bị loại trừ.",
            ),
        ),
    )


def _add_sources(record: Record, published: PublishedFigures, blocks: Mapping[str, Block]) -> None:
    """Add the figures and where they were printed."""
    sources = dict.fromkeys(
        f"{figure.province}: {figure.publisher}, [[{figure.address}]]"
        for figure in published.originals
        if figure.publisher != "none printed"
    )
    record.section(
        "sources",
        text("Figures and sources", "Số liệu và nguồn tin"),
        blocks["figures"],
        bullets(*(text(source, source) for source in sources)),
    )
