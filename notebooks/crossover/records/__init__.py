"""What a trial leaves behind: records, their storage, references that ship with the project."""
