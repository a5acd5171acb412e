"""From reports to the predicate that is signed; a report whose names do not all fit is kept beside the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attest.core.lane.testreport import Judged
from attest.core.lane.testresult import judged_predicate, report_resource
from attest.core.reference import Digest, ImageReference
from attest.core.strictjson import Json
from attest.ops.parallel import each
from attest.ports import Store


def predicate_of(
    judged: Judged,
    contents: Sequence[bytes],
    *,
    store: Store | None,
    images: Sequence[ImageReference],
    configuration: Sequence[Mapping[str, Json]] = (),
    url: str | None = None,
) -> dict[str, Json]:
    """The test-result of what was judged. `contents` are the bytes of its reports, in their order.

    The reports are kept in `store` beside each image if some of the names have to be left out of the predicate;
    without a store they are named by their digests alone.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: a report could not be kept.
    """
    unkept: list[Digest | None] = [None] * len(contents)
    predicate = _predicate(judged, unkept, configuration, url)
    if store is None or _OMITTED not in predicate:
        return predicate
    kept = [
        _keep(store, images, content, report.media_type)
        for content, report in zip(contents, judged.reports, strict=True)
    ]
    return _predicate(judged, kept, configuration, url)


_OMITTED = "attest_omittedTests"


def _predicate(
    judged: Judged, manifests: Sequence[Digest | None], configuration: Sequence[Mapping[str, Json]], url: str | None
) -> dict[str, Json]:
    reports = [
        report_resource(report, manifest=manifest) for report, manifest in zip(judged.reports, manifests, strict=True)
    ]
    return judged_predicate(judged, configuration=[*reports, *configuration], url=url)


def _keep(store: Store, images: Sequence[ImageReference], content: bytes, media_type: str) -> Digest:
    kept = each(lambda image: store.store_report(image, content, media_type=media_type), images)
    return kept[0].digest
