"""The commands that write a ledger and check one."""

import pytest

from impact.cli import main
from impact.simulate import simulate_programme


@pytest.mark.parametrize("lang", ["en", "vi"])
def test_a_template_is_written_and_passes_its_own_check(tmp_path, capsys, lang):
    file = tmp_path / "ledger.xlsx"
    assert main(["template", str(file), "--lang", lang]) == 0
    assert main(["ledger", str(file), "--lang", lang]) == 0
    assert "Ledger(1 project, 0.3 billion VND disbursed" in capsys.readouterr().out
    assert main(["template", str(file)]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err
    assert main(["template", str(tmp_path / "nowhere" / "ledger.xlsx")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_errors_of_a_ledger_come_first_and_end_with_2(tmp_path, capsys):
    filed = simulate_programme(1, n_establishments=4_000, approvals=10, errors=True)
    filed.projects.to_csv(tmp_path / "filed.csv", index=False)
    assert main(["ledger", str(tmp_path / "filed.csv"), "--lang", "vi"]) == 2
    lines = capsys.readouterr().out.splitlines()
    severities = [line.split()[0] for line in lines[:-1]]
    assert severities == sorted(severities)
    assert any("lặp lại cho cùng đơn vị thụ hưởng" in line for line in lines)


def test_a_ledger_that_cannot_be_opened_is_refused_in_the_language_asked_for(tmp_path, capsys):
    file = tmp_path / "ledger.xlsx"
    file.write_bytes(b"not a workbook")
    assert main(["ledger", str(file), "--lang", "vi"]) == 2
    assert "impact: không mở được ledger.xlsx như một tệp Excel" in capsys.readouterr().err
    assert main(["ledger", str(file), "--lang", "en"]) == 2
    assert "impact: ledger.xlsx cannot be opened as an Excel workbook" in capsys.readouterr().err
