"""export: a selection → the file of a trainer. Texts are joined only here."""

from hardneg.export.options import ConvertOptions, Counts, ExportOptions, ExportReport, SelectedTables
from hardneg.export.row_file import check_suffix, write_rows
from hardneg.export.writing import check_destination, check_output, export, to_dataset
from hardneg.trainers import MODULES

FORMATS = tuple(sorted(MODULES))

__all__ = [
    "FORMATS",
    "ConvertOptions",
    "Counts",
    "ExportOptions",
    "ExportReport",
    "SelectedTables",
    "check_destination",
    "check_output",
    "check_suffix",
    "export",
    "to_dataset",
    "write_rows",
]
