"""The simulated programme as a department would file it, and the errors such files carry."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

__all__ = ["file_projects", "file_reports", "plant_errors"]

FORMS = ("Hộ kinh doanh", "Cơ sở sản xuất", "Công ty TNHH", "Hợp tác xã")
FAMILIES = ("Nguyễn", "Trần", "Phạm", "Hoàng", "Đặng", "Bùi", "Dương", "Lưu", "Quách", "Triệu")
MIDDLES = ("Văn", "Thị", "Minh", "Quốc", "Hữu", "Ngọc", "Xuân", "Kim", "Phương", "Bảo")
GIVEN = (
    "An", "Bích", "Chiến", "Dũng", "Giang", "Hạnh", "Khôi", "Lương", "Mười", "Nhung", "Kiên",
    "Phúc", "Quyết", "Sơn", "Thủy", "Uyên", "Việt", "Tâm", "Trường", "Loan", "Hiếu", "Đức",
    "Tuấn", "Ngà", "Thắng", "Vũ",
)  # fmt: skip
DISTRICTS = (
    "Hưng Yên", "Mỹ Hào", "Ân Thi", "Khoái Châu", "Kim Động", "Phù Cừ", "Tiên Lữ", "Văn Giang",
    "Văn Lâm", "Yên Mỹ",
)  # fmt: skip
CODES_2012 = np.array(["3", "1", "4", "2", "6"])
CODES_2020 = np.array(["1", "5", "3", "5", "6"])
CODE_LIST_2020 = pd.Timestamp("2020-11-20")


def file_projects(rng: np.random.Generator, projects: pd.DataFrame) -> pd.DataFrame:
    """Lay simulated projects out as a ledger with the columns of the template."""
    names = [" ".join(parts) for parts in product(FAMILIES, MIDDLES, GIVEN)]
    people = rng.permutation(len(names) * len(FORMS))[: len(projects)]
    paid = projects["status"].isin(["settled", "returned"])
    done = projects["status"] == "settled"
    awarded = projects["status"] != "rejected"
    support = projects["support"]
    newer = projects["approved"] >= CODE_LIST_2020
    content = projects["content"].to_numpy()
    amounts = {
        "planned_support": support.where(awarded, 0),
        "disbursed_support": support.where(paid, 0),
        "national_support": support.where(paid & projects["national"], 0),
        "local_support": support.where(paid & ~projects["national"], 0),
        "counterpart": (projects["cost"] - support).where(paid),
        "eligible_cost": projects["cost"],
        "total_cost": projects["cost"].where(paid),
        "returned_amount": projects["returned"],
    }
    serial = pd.Series(np.arange(1, len(projects) + 1))
    return pd.DataFrame(
        {
            "project_id": "KC-" + projects["plan_year"].astype(str) + "-" + serial.astype(str),
            "beneficiary_id": projects["establishment"].astype(str),
            "beneficiary_name": [
                f"{FORMS[person % len(FORMS)]} {names[person // len(FORMS)]}" for person in people
            ],
            "district": np.array(DISTRICTS)[projects["district"]],
            "village": ["" if v < 0 else f"Làng nghề {v:02d}" for v in projects["village"]],
            "province": "Hưng Yên",
            "province_vintage": 63,
            "trade": projects["trade"],
            "content_code": np.where(newer, CODES_2020[content], CODES_2012[content]),
            "code_list": np.where(newer, "qd1881_2020", "nd45_2012"),
            "item": projects["item"],
            "source": np.where(projects["national"], "national", "local"),
            "approval_date": projects["approved"].where(awarded),
            "contract_date": projects["contract"].where(paid),
            "disbursement_date": projects["paid"].where(paid),
            "acceptance_date": projects["accepted"].where(done),
            "settlement_date": projects["settled"].where(done),
            **{name: values.astype("Int64") for name, values in amounts.items()},
            "status": projects["status"],
        }
    )


def file_reports(establishments: pd.DataFrame) -> pd.DataFrame:
    """Sum workers and output by craft village and year, as villages report them."""
    villages = establishments[establishments["village"] >= 0]
    sums = villages.groupby(["village", "year"])[["workers", "revenue"]].sum().round(0)
    tidy = sums.reset_index().melt(["village", "year"], var_name="indicator")
    tidy = tidy.sort_values(["village", "year", "indicator"], ignore_index=True)
    return pd.DataFrame(
        {
            "place": [f"Làng nghề {village:02d}" for village in tidy["village"]],
            "indicator": tidy["indicator"],
            "period_start": pd.to_datetime(tidy["year"].astype(str) + "-01-01"),
            "period_end": pd.to_datetime(tidy["year"].astype(str) + "-12-31"),
            "value": tidy["value"],
            "unit": np.where(tidy["indicator"] == "workers", "persons", "million VND"),
        }
    )


def plant_errors(
    rng: np.random.Generator, projects: pd.DataFrame, reports: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Put the errors of filed tables into clean ones, and say which and where.

    Rows are numbered as in a file whose headers stand in row 1.
    """
    projects, reports = projects.copy(), reports.copy()
    planted: list[tuple[str, str, int]] = []
    settled = rng.permutation(np.flatnonzero(projects["status"] == "settled"))
    share = max(len(settled) // 100, 1)
    copied, slipped, summed = (settled[k * share : (k + 1) * share] for k in range(3))
    misspelt, doubled = (settled[k * share : (k + 1) * share] for k in (3, 4))

    projects.loc[copied, "acceptance_date"] = projects.loc[copied, "contract_date"]
    projects.loc[slipped, "total_cost"] *= 100
    projects.loc[summed, "local_support"] += 7_000_000
    planted += [("projects", "end_equals_start", int(row) + 2) for row in copied]
    planted += [("projects", "decimal_lost", int(row) + 2) for row in slipped]
    planted += [("projects", "sources_sum", int(row) + 2) for row in summed]

    again = projects.loc[doubled]
    other = projects.loc[misspelt].copy()
    other["beneficiary_name"] = [name[:-2] + name[-1] for name in other["beneficiary_name"]]
    other["beneficiary_id"] = "9" + other["beneficiary_id"]
    other["project_id"] = other["project_id"] + "b"
    start = len(projects) + 2
    planted += [("projects", "duplicate_row", start + k) for k in range(len(again))]
    start += len(again)
    planted += [("projects", "near_duplicate_name", start + k) for k in range(len(other))]
    projects = pd.concat([projects, again, other], ignore_index=True)

    workers = np.flatnonzero(reports["indicator"] == "workers")
    reports.loc[workers, "value"] = (reports.loc[workers, "value"] / 10).round() * 10
    planted.append(("reports", "heaping", 0))
    inner = np.flatnonzero(
        (reports["place"] == reports["place"].shift(2))
        & (reports["place"] == reports["place"].shift(-2))
        & (reports["indicator"] == "revenue")
    )
    chosen = rng.permutation(inner)
    carried, halved = chosen[: len(inner) // 10], chosen[len(inner) // 10 : len(inner) // 8]
    reports.loc[carried, "value"] = reports["value"].to_numpy()[carried - 2]
    reports.loc[halved, "value"] = (reports.loc[halved, "value"] / 2).round()
    kept = [row for row in carried if row - 2 not in halved and row - 2 not in carried]
    planted += [("reports", "carried_forward", int(row) + 2) for row in kept]

    near = np.unique(np.concatenate([chosen[: len(inner) // 8] + shift for shift in (-2, 0, 2)]))
    free = [int(row) for row in chosen if row not in near]
    scaled, negative = free[0], free[1] + 1
    filed = reports["value"].to_numpy(copy=True)
    filed[scaled] *= 1_000
    filed[negative] = -max(filed[negative], 5)
    reports["value"] = filed
    planted += [
        ("reports", "figure_scale", scaled + 2),
        ("reports", "figure_negative", negative + 2),
    ]
    return projects, reports, pd.DataFrame(planted, columns=["table", "rule", "row"])
