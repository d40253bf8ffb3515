"""Detection of a document's language."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.language import detect_language
from tests.conftest import ROOT
from tests.pdfs import pdf

TEXTS = {
    "de": (
        "Die Arbeitszeit beträgt vierzig Stunden in der Woche. Pausen werden nicht auf "
        "die Arbeitszeit angerechnet, und wer krank ist, meldet sich vor Beginn der "
        "Schicht."
    ),
    "fr": (
        "Les salariés doivent porter les équipements de protection fournis par "
        "l'entreprise. Toute absence doit être signalée avant neuf heures du matin au "
        "service du personnel."
    ),
    "ja": (
        "作業を始める前に、安全ガイドを必ず読んでください。"
        "機械に異常があるときは、ただちに停止して責任者に連絡します。"
    ),
    "ar": (
        "يجب على جميع العاملين ارتداء معدات السلامة قبل دخول المصنع. في حالة الحريق توجه "
        "إلى أقرب مخرج ولا تستخدم المصعد."
    ),
    "en": (
        "Employees must report an absence before the shift begins. A note from a "
        "physician is needed from the third day of illness on."
    ),
    "es": (
        "Los empleados deben comunicar cualquier ausencia antes de las nueve de la "
        "mañana. El contrato puede rescindirse con un preaviso de treinta días."
    ),
    "it": (
        "I dipendenti devono comunicare ogni assenza prima delle nove del mattino. Il "
        "contratto può essere risolto con un preavviso di trenta giorni."
    ),
    "nl": (
        "Werknemers moeten een afwezigheid melden voordat de dienst begint. Vanaf de "
        "derde ziektedag is een verklaring van de arts nodig."
    ),
    "pl": (
        "Pracownicy muszą zgłosić nieobecność przed rozpoczęciem zmiany. Od trzeciego "
        "dnia choroby wymagane jest zaświadczenie lekarskie."
    ),
    "ru": (
        "Сотрудники обязаны сообщить об отсутствии до начала смены. С третьего дня "
        "болезни требуется справка от врача."
    ),
    "zh": (
        "员工必须在上班之前报告缺勤情况。"
        "从生病的第三天起，需要提供医生证明。机器出现故障时应立即停机。"
    ),
    "ko": (
        "직원은 근무가 시작되기 전에 결근을 알려야 합니다. "
        "병가 사흘째부터는 의사의 진단서가 필요합니다."
    ),
    "he": (
        "על העובדים להודיע על היעדרות לפני תחילת המשמרת. החל מהיום השלישי למחלה נדרש אישור רופא."
    ),
    "tr": (
        "Çalışanlar vardiya başlamadan önce devamsızlıklarını bildirmelidir. Hastalığın "
        "üçüncü gününden itibaren doktor raporu gereklidir."
    ),
    "pt": (
        "Os funcionários devem comunicar qualquer ausência antes das nove horas da manhã. "
        "O contrato pode ser rescindido com um aviso prévio de trinta dias."
    ),
    "sv": (
        "Anställda måste anmäla frånvaro innan skiftet börjar. Från och med den tredje "
        "sjukdagen krävs läkarintyg."
    ),
    "da": (
        "Medarbejdere skal melde fravær, inden vagten begynder. Fra den tredje sygedag "
        "kræves der en lægeerklæring."
    ),
    "no": (
        "Ansatte må melde fra om fravær før skiftet begynner. Fra den tredje sykedagen "
        "kreves det legeerklæring."
    ),
    "fi": (
        "Työntekijöiden on ilmoitettava poissaolosta ennen vuoron alkua. Kolmannesta "
        "sairauspäivästä alkaen tarvitaan lääkärintodistus."
    ),
    "cs": (
        "Zaměstnanci musí nahlásit nepřítomnost před začátkem směny. Od třetího dne "
        "nemoci je třeba potvrzení od lékaře."
    ),
    "el": (
        "Οι εργαζόμενοι πρέπει να δηλώνουν την απουσία τους πριν από την έναρξη της "
        "βάρδιας. Από την τρίτη ημέρα απαιτείται ιατρική βεβαίωση."
    ),
    "uk": (
        "Працівники зобов'язані повідомити про відсутність до початку зміни. З третього "
        "дня хвороби потрібна довідка від лікаря."
    ),
    "hi": (
        "कर्मचारियों को पाली शुरू होने से पहले अनुपस्थिति की सूचना देनी होगी। बीमारी के "
        "तीसरे दिन से डॉक्टर का प्रमाण पत्र आवश्यक है।"
    ),
    "th": ("พนักงานต้องแจ้งการขาดงานก่อนเริ่มกะ ตั้งแต่วันที่สามของการเจ็บป่วยต้องมีใบรับรองแพทย์"),
    "hu": (
        "A munkavállalóknak a műszak kezdete előtt be kell jelenteniük a távolmaradást. A "
        "betegség harmadik napjától orvosi igazolás szükséges."
    ),
    "ro": (
        "Angajații trebuie să anunțe absența înainte de începerea turei. Din a treia zi "
        "de boală este necesar un certificat medical."
    ),
    "fa": (
        "کارکنان باید غیبت خود را پیش از آغاز شیفت گزارش دهند. از روز سوم بیماری گواهی "
        "پزشک لازم است."
    ),
    "vi": (
        "Nhân viên phải báo vắng mặt trước khi ca làm việc bắt đầu. Từ ngày nghỉ ốm thứ "
        "ba cần có giấy chứng nhận của bác sĩ."
    ),
    "id": (
        "Karyawan harus melaporkan ketidakhadiran sebelum giliran kerja dimulai. Mulai "
        "hari ketiga sakit diperlukan surat keterangan dokter."
    ),
}


@pytest.mark.parametrize("code", TEXTS)
def test_the_language_of_a_text_is_told(code: str) -> None:
    """Two sentences are enough to recognise the language, even with numbers in them."""
    assert detect_language([TEXTS[code]]) == code
    assert detect_language([TEXTS[code].upper()]) == code
    assert detect_language(["", "4711 12.50", f"Nr. 12/2026\n{TEXTS[code]}\n1,250.00 30%"]) == code


SAMPLES = {
    "languages/arbeitsordnung.pdf": "de",
    "languages/règlement intérieur.pdf": "fr",
    "languages/安全ガイド.pdf": "ja",
    "languages/دليل-السلامة.pdf": "ar",
    "products/product-sheet.pdf": "en",
    "papers/two-column.pdf": "en",
    "handbook.pdf": "en",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_language_of_a_document_is_told(name: str) -> None:
    """I can filter by language, whatever the file itself claims."""
    data = (ROOT / "data" / name).read_bytes()

    assert extract(data, ExtractOptions()).details.language == SAMPLES[name]


@pytest.mark.parametrize("text", ["", "4711", "A-12 B-7", "x", "$ 12.50 " * 50, "\U0001f600 " * 20])
def test_what_is_no_language_is_none(text: str) -> None:
    """No language is guessed from a part number."""
    assert detect_language([text]) == ""


def test_a_cover_in_another_language_does_not_decide() -> None:
    """A German report with an English cover and index is German."""
    german = [f"{TEXTS['de']} Seite." for _ in range(20)]

    assert detect_language([TEXTS["en"], *german, TEXTS["en"]]) == "de"


def test_a_library_that_fails_costs_no_page(tmp_path: Path) -> None:
    """A document whose language cannot be asked for is read all the same."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("Employees must report an absence."))
    code = (
        "import sys\n"
        "sys.modules['fasttext'] = None\n"  # as if it were not installed
        "from ingest.extract.document import ExtractOptions, extract\n"
        f"document = extract(open({str(path)!r}, 'rb').read(), ExtractOptions())\n"
        "print(document.pages, repr(document.details.language))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('Employees must report an absence.',) ''\n"


def test_the_model_is_not_loaded_before_it_is_needed() -> None:
    """No command loads the language model before it needs it."""
    code = (
        "import sys\n"
        "import ingest.extract.document, ingest.config.factory\n"
        "before = 'fasttext' in sys.modules\n"
        "from ingest.extract.language import detect_language\n"
        "detect_language(['Employees must report an absence before it begins.'])\n"
        "print(before, 'fasttext' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.split() == ["False", "True"]
    assert done.stderr == ""
