"""What Trocar says when something cannot be done. Anything else that is raised is a bug."""


class TrocarError(Exception):
    """A condition the user can understand.

    Args:
        user_message: one sentence: what happened, where, and what to do.
        detail: technical text for the details view and the log; free of patient data.
    """

    def __init__(self, user_message: str, detail: str = "") -> None:
        super().__init__(user_message)
        self.user_message = user_message
        self.detail = detail


class BadInput(TrocarError):
    """A file, a checkpoint, an annotation or an argument is not what it should be."""


class EnvironmentProblem(TrocarError):
    """The machine cannot do it now: disk full, device gone, no memory, no permission."""


class Refused(TrocarError):
    """Trocar will not do it: another writer, a newer library, a rule of research use."""
