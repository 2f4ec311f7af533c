"""The field's metrics: masks and phases. numpy and pycocotools; no torch."""
