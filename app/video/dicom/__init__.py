"""DICOM recordings, in and out. The only place that knows pydicom."""
