"""What the entry point `easel_testkit` names: pytest loads the kit once, however often it is asked to."""

pytest_plugins = ["webui.testing"]
