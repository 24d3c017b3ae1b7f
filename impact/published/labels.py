"""Names of what the figures count, in English and Vietnamese."""

from __future__ import annotations

__all__ = ["BOUNDS", "FUNDINGS", "INDICATORS", "UNITS", "Words", "label"]

Words = dict[str, str]

INDICATORS: dict[str, Words] = {
    "projects_implemented": {"en": "Projects carried out", "vi": "Đề án đã thực hiện"},
    "support_amount": {"en": "Support", "vi": "Kinh phí hỗ trợ"},
    "counterpart_amount": {
        "en": "Counterpart of beneficiaries",
        "vi": "Vốn đối ứng của đơn vị thụ hưởng",
    },
    "approved_local_funding": {
        "en": "Local funding approved",
        "vi": "Kinh phí địa phương được duyệt",
    },
    "products_brand_registration_supported": {
        "en": "Products helped to register a brand",
        "vi": "Sản phẩm được hỗ trợ đăng ký nhãn hiệu",
    },
    "products_certified_typical_provincial": {
        "en": "Typical rural industrial products, province",
        "vi": "Sản phẩm công nghiệp nông thôn tiêu biểu cấp tỉnh",
    },
    "establishments_with_certified_products": {
        "en": "Establishments with such products",
        "vi": "Cơ sở có sản phẩm tiêu biểu",
    },
    "products_recognised_higher_level": {
        "en": "Recognitions above the province",
        "vi": "Lượt công nhận trên cấp tỉnh",
    },
    "establishments_machinery_supported": {
        "en": "Establishments helped to apply machinery",
        "vi": "Cơ sở được hỗ trợ ứng dụng máy móc",
    },
    "program_contents_not_implemented": {
        "en": "Contents of the programme not carried out",
        "vi": "Nội dung khuyến công chưa triển khai",
    },
    "craft_village_output": {
        "en": "Output of craft villages",
        "vi": "Giá trị sản xuất của làng nghề",
    },
    "craft_village_workers": {"en": "Workers of craft villages", "vi": "Lao động của làng nghề"},
    "rural_industrial_facilities": {
        "en": "Rural industrial establishments",
        "vi": "Cơ sở công nghiệp nông thôn",
    },
    "ethnic_minority_population_share": {
        "en": "Ethnic minorities in the population",
        "vi": "Tỷ lệ dân tộc thiểu số trong dân số",
    },
}

FUNDINGS: dict[str, Words] = {
    "all": {"en": "all sources", "vi": "các nguồn"},
    "national": {"en": "national", "vi": "quốc gia"},
    "local": {"en": "local", "vi": "địa phương"},
    "none": {"en": "–", "vi": "–"},
}

UNITS: dict[str, Words] = {
    "product_instances": {"en": "recognitions", "vi": "lượt sản phẩm"},
    "contents": {"en": "contents", "vi": "nội dung"},
}

BOUNDS: dict[str, Words] = {
    "exact": {"en": "as printed", "vi": "như công bố"},
    "at_least": {"en": "lower bound", "vi": "cận dưới"},
    "at_most": {"en": "upper bound", "vi": "cận trên"},
    "about": {"en": "about", "vi": "khoảng"},
    "indicative": {"en": "indicative", "vi": "tham khảo"},
}


def label(names: dict[str, Words], key: str) -> Words:
    """Return a name in each language, the key itself where none is known."""
    return names.get(key, {"en": key, "vi": key})
