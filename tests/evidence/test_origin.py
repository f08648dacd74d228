from io import BytesIO

import pytest
from PIL import Image, PngImagePlugin

from dfd.data.decode import open_image
from dfd.evidence.evidence import examine
from dfd.evidence.origin import Origin, origin_of
from tests.images import encoded, picture

PARAMETERS = "portrait of a woman\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: x"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmp:CreatorTool="Adobe Photoshop 25.0" {}/>'
    "</rdf:RDF></x:xmpmeta>"
)
TYPE = 'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{}"'


def png(**texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for name, value in texts.items():
        info.add_text(name.replace("_", "-") if name == "sd_metadata" else name, value)
    return encoded(picture(1), "PNG", pnginfo=info)


def jpeg_with(xmp: str) -> bytes:
    return encoded(picture(1), xmp=xmp.encode())


def credit(text: str) -> str:
    return XMP.format(f'photoshop:Credit="{text}"')


def read(data: bytes, **texts: str) -> Origin:
    return origin_of(open_image(data, 10**6), **texts)


@pytest.mark.parametrize(
    ("texts", "program"),
    [
        ({"parameters": PARAMETERS}, "settings of a Stable Diffusion program"),
        ({"prompt": '{"3": {"class_type": "KSampler"}}'}, "ComfyUI"),
        ({"workflow": '{"nodes": []}'}, "ComfyUI"),
        ({"workflow": '{"3": {"class_type": "KSampler"}}'}, "ComfyUI"),
        ({"invokeai_metadata": "{}"}, "InvokeAI"),
        ({"sd_metadata": '{"model": "stable diffusion", "app_id": "invoke-ai/InvokeAI"}'}, "InvokeAI"),
        ({"Dream": '"a cat" -s 50 -S 1234 -W 512 -H 512 -C 7.5 -A k_lms'}, "InvokeAI"),
        ({"fooocus_scheme": "fooocus"}, "Fooocus"),
        ({"generation_data": '{"prompt": "a cat", "seed": "1", "cfgScale": 7}'}, "a Stable Diffusion service"),
        (
            {"Software": "NovelAI", "Comment": '{"steps": 28, "seed": 38, "sampler": "k_euler", "uc": ""}'},
            "settings of a Stable Diffusion program",
        ),
        ({"Description": "a cat --v 6 Job ID: 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"}, "Midjourney"),
    ],
)
def test_generators_that_write_texts(texts: dict[str, str], program: str) -> None:
    found = read(png(**texts))
    assert found.generated and program in found.generated[0].what


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("workflow", "invoice approval, step 3"),
        ("workflow", '{"step": "approval"}'),
        ("dream", "My dream house -s"),
        ("Dream", "I have one"),
        ("sd_metadata", "SD card 2, slot 1"),
        ("generation_data", '{"prompt": "Enter your name", "energy_mwh": 3}'),
        ("fooocus_scheme", "blue on white"),
        ("invokeai_graph", "see the other file"),
        ("prompt", "Press any key"),
        ("Comment", '{"steps": 12, "sampler": "Akai S900"}'),
    ],
)
def test_a_key_alone_accuses_nobody(key: str, text: str) -> None:
    told = read(png(**{key: text}))
    assert told.generated == () and told.named == ()


def test_settings_in_exif_as_jpegs_of_the_same_programs_have_them() -> None:
    assert read(encoded(picture(1)), exif_comment=PARAMETERS).generated[0].where == "EXIF UserComment"


@pytest.mark.parametrize("kind", ["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"])
def test_the_digital_source_type_in_xmp(kind: str) -> None:
    data = jpeg_with(XMP.format(TYPE.format(kind)))
    found = read(data)
    assert found.source_types == (kind,)
    assert [(entry.where, entry.what) for entry in found.generated] == [("XMP DigitalSourceType", kind)]
    first = examine(data, 10**6).findings[0]
    assert first.level == "strong" and ("parts" in first.words) == kind.startswith("composite")


def test_a_photograph_that_says_so_was_not_generated() -> None:
    found = read(jpeg_with(XMP.format(TYPE.format("digitalCapture"))))
    assert found.generated == () and found.source_types == ("digitalCapture",)
    assert ("XMP xmp:CreatorTool", "Adobe Photoshop 25.0") in {(each.where, each.what) for each in found.software}


def test_where_remote_credentials_lie() -> None:
    assert read(jpeg_with(XMP.format('dcterms:provenance="https://cai.example.org/x"'))).remote == "cai.example.org"


@pytest.mark.parametrize(
    "text",
    [
        "Imagen: Agencia EFE",
        "Imagen 3 de 5: Agencia EFE",
        "Foto fornita dalle agenzie / ANSA",
        "Tratto dalle 2 collezioni, dall'emeroteca, dall e-mail",
        "Randall-Eaton Press, Kendall-E",
        "Dreamstudio Hochzeiten",
        "Foto di Leonardo ai Musei Vaticani, leonardoaiello.it",
    ],
)
def test_ordinary_words_are_no_generators(text: str) -> None:
    for data in (jpeg_with(credit(text)), png(Source=text), png(Software=text)):
        told = read(data)
        assert told.generated == () and told.named == () and text in [each.what for each in told.software]


@pytest.mark.parametrize(
    "text",
    [
        "Not made with Midjourney",
        "DALL-E",
        "OpenAI DALL·E 3",
        "dalle3",
        "Google Imagen",
        "imagen-3.0-generate-002",
        "Made with Google AI",
        "Stable Diffusion 1D44365E",
    ],
)
def test_a_generator_s_name_in_a_free_text_is_quoted_and_no_more(text: str) -> None:
    for data in (jpeg_with(credit(text)), png(Source=text), png(Software=text)):
        assert read(data).generated == ()
        told = examine(data, 10**6).findings
        (first,) = [each for each in told if "names a generator" in each.words]
        assert first.level == "notable" and f"‘{text}’" in first.words
        assert not any(each.level == "strong" or "says nothing" in each.words for each in told)


def test_a_name_far_into_a_text_is_in_what_is_quoted() -> None:
    (entry,) = read(png(Source="word " * 100 + "drawn by Midjourney, they say")).named
    assert "drawn by Midjourney" in entry.what and len(entry.what) <= 120


@pytest.mark.parametrize("kind", ["algorithmicMedia", "virtualRecording"])
def test_a_formula_s_picture_and_a_recording_are_not_a_generator_s(kind: str) -> None:
    told = examine(jpeg_with(XMP.format(TYPE.format(kind))), 10**6).findings
    assert not any(each.level == "strong" for each in told)
    assert any(kind in each.words for each in told)


@pytest.mark.parametrize("name", ["Adobe Firefly", "ChatGPT DALL-E", "Imagen 3"])
@pytest.mark.parametrize(
    ("kinds", "partly"),
    [
        (["compositeWithTrainedAlgorithmicMedia"], True),
        (["compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia"], False),
        ([], False),
    ],
)
def test_the_ai_system_of_iptc_says_it_and_the_source_type_how_much(name: str, kinds: list[str], partly: bool) -> None:
    fields = " ".join([f'Iptc4xmpExt:AISystemUsed="{name}"', *map(TYPE.format, kinds)])
    first = examine(jpeg_with(XMP.format(fields)), 10**6).findings[0]
    assert first.level == "strong" and name in first.words
    assert ("has parts from a generator" in first.words) == partly
    assert ("was made by a generator" in first.words) != partly


def test_an_ai_system_that_is_denied_is_only_named() -> None:
    told = read(jpeg_with(XMP.format('Iptc4xmpExt:AISystemUsed="none, not Midjourney"')))
    assert told.generated == () and len(told.named) == 1


@pytest.mark.parametrize("text", ["Genoa, steps to the sea", "Gemini, by telescope", "this is no midjourney picture"])
def test_ordinary_texts_accuse_nobody(text: str) -> None:
    assert read(png(Title=text, Comment=text)).generated == ()


def test_a_flood_of_texts_is_bounded() -> None:
    info = PngImagePlugin.PngInfo()
    for number in range(3000):
        info.add_text(f"Software{number}", "Midjourney \x1b[31m" + "x" * 200)
    buffer = BytesIO()
    Image.fromarray(picture(1)).save(buffer, "PNG", pnginfo=info)
    evidence = examine(buffer.getvalue(), 10**6)
    assert len(str(evidence.to_dict())) < 20_000 and "\x1b" not in str(evidence.to_dict())


def behind_the_pixels(xmp: str) -> bytes:
    """A PNG with its XMP after IDAT, as some programs write it."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    data, plain = encoded(picture(1), "PNG", pnginfo=info), encoded(picture(1), "PNG")
    chunk = data[data.index(b"iTXt") - 4 : data.index(b"IDAT") - 4]
    end = plain.rindex(b"IEND") - 4
    return plain[:end] + chunk + plain[end:]


def test_what_a_png_holds_behind_its_pixels_is_read() -> None:
    data = behind_the_pixels(XMP.format(TYPE.format("trainedAlgorithmicMedia")))
    assert data.index(b"IDAT") < data.index(b"iTXt")
    found = examine(data, 10**6)
    assert found.origin is not None and found.origin.generated
    assert not any("says nothing" in finding.words for finding in found.findings)


def test_an_enhanced_photograph_is_not_told_to_have_generated_parts() -> None:
    found = examine(jpeg_with(XMP.format(TYPE.format("algorithmicallyEnhanced"))), 10**6)
    assert not any(finding.level == "strong" for finding in found.findings)
    assert any("algorithmicallyEnhanced" in finding.words for finding in found.findings)


@pytest.mark.parametrize(
    "entry", [TYPE.format("digitalCapture"), 'dcterms:provenance="https://credentials.example/manifest"']
)
def test_a_file_that_says_something_is_not_told_to_say_nothing(entry: str) -> None:
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {entry}/></rdf:RDF></x:xmpmeta>'
    words = [finding.words for finding in examine(jpeg_with(xmp), 10**6).findings]
    assert len(words) > 1 and not any("says nothing" in each for each in words)
